"""Where a process was when it was killed: marks in a file that both it and its killer map.

process   ──► fragment +1 … -1   journal +1 …  ✗ killed        the file outlives it
killer    ◄── journal: 1                       ✗               it was killed in a transaction
"""

import mmap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, ParamSpec, Self, TypeVar

Phase = Literal["mending", "fragment", "journal", "upload", "send"]
PHASES: tuple[Phase, ...] = ("mending", "fragment", "journal", "upload", "send")
"""Opening the spool and repairing what the last kill left; a fragment's file; a transaction of the
journal; a PUT to S3; a batch of messages on its way to SQS."""
P = ParamSpec("P")
T = TypeVar("T")


class Marks:
    """One byte for each phase: how many times it is going on."""

    def __init__(self, path: Path) -> None:
        """Map the file; it is made where it does not exist."""
        if not path.exists():
            path.write_bytes(bytes(len(PHASES)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), len(PHASES))
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    @contextmanager
    def at(self, phase: Phase) -> Iterator[None]:
        """Mark a phase for as long as the body runs."""
        self._add(phase, 1)
        try:
            yield
        finally:
            self._add(phase, -1)

    def around(self, phase: Phase, work: Callable[P, T]) -> Callable[P, T]:
        """Return `work` that marks a phase while it runs."""

        def marked(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.at(phase):
                return work(*args, **kwargs)

        return marked

    def going_on(self) -> list[Phase]:
        """Return the phases that are marked."""
        return [phase for place, phase in enumerate(PHASES) if self._map[place]]

    def clear(self) -> None:
        """Remove all marks, once the process is dead."""
        self._map[:] = bytes(len(PHASES))

    def _add(self, phase: Phase, change: int) -> None:
        place = PHASES.index(phase)
        with self._lock:
            self._map[place] += change
