"""One child process in a group of its own: started, observed, stopped, never orphaned."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from domain.errors import VigilError
from local.folder import DataFolder

_CHILD = Path(__file__).with_name("child.py")
# Linux sends the parent-death signal when the *thread* that started the child ends. So one
# thread that lives as long as the process starts all children.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-children")
_POLL_S = 0.05


class Process:
    """A named child: its output in `log/NAME.log`, its pid and start in `run/NAME.json`."""

    def __init__(
        self,
        name: str,
        folder: DataFolder,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_within_s: float = 15,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log = folder.logs / f"{name}.log"
        self._folder = folder
        self._record = f"run/{name}.json"
        self._stop_signal = stop_signal
        self._stop_within_s = stop_within_s
        self._death_signal = death_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's pid while it runs."""
        return self._popen.pid if self._popen and self.running else None

    @property
    def running(self) -> bool:
        """Whether the child has been started and has not ended."""
        if self._popen is None or self._popen.returncode is not None:
            return False
        # WNOWAIT: the child stays a zombie. So the id of its group is not reused before
        # `_finish` has ended the rest of the group.
        try:
            return os.waitid(os.P_PID, self._popen.pid, _PEEK) is None
        except ChildProcessError:
            return False

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        """Start the command; a process that a killed owner left behind is ended first."""
        self._end_leftover()
        self._finish()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > 16 * 1024**2:
            self.log.replace(self.log.with_suffix(".log.1"))
        wrapped = [
            sys.executable, "-S", "-E", str(_CHILD), str(int(self._death_signal)), str(os.getpid()),
            *command,
        ]  # fmt: skip

        def spawn() -> subprocess.Popen[bytes]:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    wrapped,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(env),
                    cwd=cwd,
                    start_new_session=True,
                )

        self._popen = _starter.submit(spawn).result()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._folder.write_json(self._record, record_of(self._popen.pid))

    def wait_ready(self, check: Callable[[], bool], within_s: float) -> None:
        """Wait until `check` is true; otherwise raise VigilError with the path of the log."""
        deadline = time.monotonic() + within_s
        while True:
            if not self.running:
                code = self._finish()
                raise VigilError(f"{self.name} ended at start (code {code}); see {self.log}.")
            if check():
                return
            if time.monotonic() > deadline:
                raise VigilError(
                    f"{self.name} did not answer within {within_s:.0f} s; see {self.log}."
                )
            time.sleep(_POLL_S)

    def wait_end(self, within_s: float) -> bool:
        """Wait until the child has ended; returns whether it did."""
        deadline = time.monotonic() + within_s
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once."""
        if self._popen and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._popen.pid, self._stop_signal)

    def stop(self) -> int | None:
        """Stop the child, after a while with SIGKILL for its group; returns its exit code."""
        self.ask_to_stop()
        self.wait_end(self._stop_within_s)
        return self._finish()

    def kill(self) -> None:
        """End the child and its group with SIGKILL."""
        self._finish()

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def _finish(self) -> int | None:
        if self._popen is None:
            return None
        code = self._popen.returncode
        if code is None:
            _kill_group(self._popen.pid)
            code = self._popen.wait()
        (self._folder.path / self._record).unlink(missing_ok=True)
        return code

    def _end_leftover(self) -> None:
        if self._popen is not None:
            return
        record = self._folder.read_json(self._record)
        process = recorded_process(record)
        if process is None:
            return
        process.send_signal(self._stop_signal)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(self._stop_within_s)
        if process.is_running():
            _kill_group(process.pid)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(5)


_PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT


def record_of(pid: int) -> dict[str, object]:
    """Return what identifies a process; raises psutil.NoSuchProcess.

    That is its pid, its start in ticks since boot, and the boot. A time of day would change when
    the clock is set, and the process would look like another one.
    """
    try:
        # its name, in brackets, may contain any character
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"pid": pid, "started": int(fields[19]), "boot": boot}


def recorded_process(record: dict[str, object]) -> psutil.Process | None:
    """Return the process of a record, or None if it has ended or its pid was reused."""
    pid = record.get("pid")
    if not isinstance(pid, int):
        return None
    try:
        process = psutil.Process(pid)
        same = record_of(pid) == record
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
