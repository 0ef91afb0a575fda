"""The interface of a local service to the stack that runs it."""

import asyncio
import contextlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from local.certificates import Certificates
from local.folder import DataFolder
from local.ports import Ports
from local.process import Process

T = TypeVar("T")
Report = Callable[[str], None]


class Service(ABC):
    """One server of the stack: how it is prepared, started, probed and stopped."""

    name: str
    title: str
    ready_within_s: float = 180
    """A JVM on a slow, busy machine needs a minute. A failure is reported at once anyway."""
    stop_signal = signal.SIGTERM
    stop_within_s: float = 15
    death_signal = signal.SIGKILL
    certificates: Certificates | None = None
    """Set if clients must use TLS and a password."""
    full_jit = False
    """Set if S3 is measured: it must not be slower than it can be (java.py)."""

    def __init__(self, folder: DataFolder, ports: Ports, report: Report) -> None:
        self.folder = folder
        self.ports = ports
        self.report = report
        self.home = folder.path / self.name
        self.process = Process(
            self.name,
            folder,
            stop_signal=self.stop_signal,
            stop_within_s=self.stop_within_s,
            death_signal=self.death_signal,
        )

    @abstractmethod
    def prepare(self) -> None:
        """Take the ports, create the server's files; raises VigilError."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the server's command line."""

    @abstractmethod
    def answers(self) -> bool:
        """Probe the server in its own protocol; creates what must exist in it. Raises nothing."""

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Return the VIGIL_* settings with which programs reach the server."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Return the server's address, for people."""

    @property
    def running(self) -> bool:
        """Whether the server's process runs."""
        return self.process.running

    def launch(self) -> None:
        """Prepare and start the server without waiting for it."""
        self.prepare()
        self.process.start(self.command(), env=self.environment(), cwd=self.home)

    def environment(self) -> dict[str, str]:
        """Return the server's environment."""
        return dict(os.environ)

    def wait(self) -> None:
        """Wait until the server answers; raises VigilError if it does not."""
        self.process.wait_ready(self.answers, self.ready_within_s)


def ask(question: Callable[[], Coroutine[Any, Any, T]], within_s: float = 10) -> T | None:
    """Run a coroutine in a thread of its own (the caller may have a loop); None if it fails."""
    answer: list[T] = []

    def run() -> None:
        with contextlib.suppress(Exception):  # any failure means: no answer
            answer.append(asyncio.run(asyncio.wait_for(question(), within_s)))

    thread = threading.Thread(target=run, name="ask-service")
    thread.start()
    thread.join()
    return answer[0] if answer else None
