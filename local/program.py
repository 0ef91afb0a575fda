"""One of Vigil's own programs as a child process: worker, relay, edge."""

import signal
import sys
from collections.abc import Mapping, Sequence

from local.folder import DataFolder, project_root
from local.process import Process


class Program:
    """A program that is started with the stack's settings."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: DataFolder,
        env: Mapping[str, str],
        *,
        stop_within_s: float = 15,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`arguments` are those of this Python interpreter."""
        self.name = name
        self._arguments = list(arguments)
        self._env = dict(env)
        self.process = Process(name, folder, stop_within_s=stop_within_s, death_signal=death_signal)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.process.running

    def set_env(self, name: str, value: str) -> None:
        """Set an environment variable for its next start."""
        self._env[name] = value

    def launch(self) -> None:
        """Start it."""
        command = [sys.executable, *self._arguments]
        self.process.start(command, env=self._env, cwd=project_root())


def vigil(*arguments: str) -> list[str]:
    """Return the arguments of Python that run the vigil command."""
    return ["-m", "cli.main", *arguments]


def worker(module: str) -> list[str]:
    """Return the arguments of Python that run a Faust worker."""
    return ["-m", "faust", "-A", module, "worker", "-l", "warn"]
