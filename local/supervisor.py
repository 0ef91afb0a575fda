"""Restarts processes that end, with a back-off while they keep ending."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from domain.backoff import EQUAL_JITTER, Backoff
from domain.errors import VigilError
from local.service import Report

RESTARTS = Backoff(first_s=1.0, longest_s=30.0, jitter=EQUAL_JITTER)
"""Jitter: children that failed at the same moment restart at different ones."""
# A child that ran this long has recovered: its next end counts as the first one.
STABLE_S = 60.0


class SupervisedChild(Protocol):
    """The interface of a child to its supervisor."""

    name: str

    @property
    def running(self) -> bool:
        """Whether it runs."""

    def launch(self) -> None:
        """Start it, or start it again."""


@dataclass
class _ChildState:
    child: SupervisedChild
    ends: int = 0
    started_s: float = 0.0
    due_s: float | None = field(default=None)


class Supervisor:
    """Supervises children; call `check` about every second."""

    def __init__(
        self,
        children: Iterable[SupervisedChild],
        report: Report,
        *,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._spread = spread
        self._report = report
        self._watched = [_ChildState(child, started_s=clock()) for child in children]

    def check(self) -> None:
        """Note which children have ended, and restart those whose delay is over."""
        now = self._clock()
        for watched in self._watched:
            if watched.due_s is not None:
                if now >= watched.due_s:
                    self._restart(watched, now)
            elif not watched.child.running:
                if now - watched.started_s >= STABLE_S:
                    watched.ends = 0
                self._plan(watched, now, "ended")

    def _plan(self, watched: _ChildState, now: float, what: str) -> None:
        wait = RESTARTS.delay_s(watched.ends, self._spread())
        watched.ends += 1
        watched.due_s = now + wait
        self._report(f"{watched.child.name} {what}; restarting it in {wait:.1f} s")

    def _restart(self, watched: _ChildState, now: float) -> None:
        watched.due_s = None
        watched.started_s = now
        try:
            watched.child.launch()
        except VigilError as error:
            self._plan(watched, now, f"cannot start: {error}")
