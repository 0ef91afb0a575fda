"""The stack in a process of its own, for `vigil services start`, `stop` and `status`.

As a module it is that process: it starts the stack, reports that on its standard output, and
supervises it until SIGTERM.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from domain.errors import VigilError
from local.devices import LocalDevices
from local.folder import DataFolder, default_data_dir
from local.gate import AwsGateService
from local.ports import parse_ports
from local.process import record_of, recorded_process
from local.service import Report, Service
from local.stack import SERVICES, Stack
from local.supervisor import Supervisor

RECORD = "run/supervisor.json"
STOP_WITHIN_S = 60
_READY = "ready\n"


@dataclass(frozen=True)
class ServiceState:
    """The state of one service."""

    name: str
    title: str
    pid: int | None
    port: int | None


def record_owner(folder: DataFolder) -> None:
    """Record this process as the one that `stop` must signal."""
    folder.write_json(RECORD, record_of(os.getpid()))


def start(data: Path, *, fresh: bool, ports: Sequence[str], report: Report) -> None:
    """Start the stack in the background; returns once it is ready, raises VigilError if not."""
    parse_ports(list(ports))  # report errors here, not in the other process
    folder = DataFolder(data)
    folder.open()  # the same for a folder that cannot be used
    folder.close()
    command = [sys.executable, "-m", "local.background", "--data", str(folder.path)]
    command += ["--fresh"] * fresh + [f"--port={port}" for port in ports]
    log = folder.logs / "supervisor.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            text=True,
        )
    assert process.stdout
    try:
        last = "it printed nothing"
        for line in process.stdout:
            if line == _READY:
                return
            last = line.rstrip("\n")
            if last.startswith("error: "):
                raise VigilError(last.removeprefix("error: "))
            report(last)
        raise VigilError(f"The services ended at start ({last}); see {log}.")
    except KeyboardInterrupt:
        process.terminate()
        raise


def stop(data: Path) -> bool:
    """Stop the owner of a data folder and its children; returns whether there was one."""
    folder = DataFolder(data)
    owner = recorded_process(folder.read_json(RECORD))
    if owner is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        owner.terminate()
        try:
            owner.wait(STOP_WITHIN_S)
        except psutil.TimeoutExpired:
            owner.kill()  # its children end with it
            owner.wait(5)
    return True


def status(data: Path) -> list[ServiceState]:
    """Return the state of each service of a data folder."""
    folder = DataFolder(data)
    ports = folder.read_json("ports.json")
    states = []
    kinds: tuple[type[Service], ...] = (*SERVICES, AwsGateService)
    for kind in kinds:
        process = recorded_process(folder.read_json(f"run/{kind.name}.json"))
        pid = process.pid if process else None
        states.append(ServiceState(kind.name, kind.title, pid, ports.get(kind.name)))
    return states


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=default_data_dir())
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--port", action="append", default=[])
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        stack = Stack(
            given.data, ports=parse_ports(given.port), fresh=given.fresh, report=say, devices=True
        )
        with stack:
            record_owner(stack.folder)
            stack.write_env(LocalDevices(stack.folder, stack.ports).prepare())
            supervisor = Supervisor(stack.services.values(), say)
            say(_READY.strip())
            # The reader stops here: from now on print to the log.
            with (stack.folder.logs / "supervisor.log").open("ab") as log:
                os.dup2(log.fileno(), sys.stdout.fileno())
            while not ended.wait(1):
                supervisor.check()
            (stack.folder.path / RECORD).unlink(missing_ok=True)
    except VigilError as error:
        say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    _main()
