"""Packets handed on together where nobody waits for them.

    arrives     p p p p p p p p p p p p
    handed on             pppppp      pppppp    each with its own arrival

A thread that comes back to work finds the processor's caches full of others' things; what handles a
packet costs several times as much then. Handling some packets at once pays for that once.
"""

from collections.abc import Sequence

from media.packet import AnyPacket

COALESCE_MS = 400
"""From the first packet's arrival to the last one's."""

Arrived = tuple[AnyPacket, int]
"""A packet and the UTC (ms) of its arrival."""


class Coalescer:
    """Of one connection. A packet waits for others by their arrival alone, never by a timer."""

    def __init__(self) -> None:
        self._waiting: list[Arrived] = []

    def add(self, arrived: Arrived, low_latency: bool) -> Sequence[Arrived]:
        """Take a packet; return what is to be handled now, in order."""
        self._waiting.append(arrived)
        # A clock that is set meanwhile holds nothing back.
        if not low_latency and 0 <= arrived[1] - self._waiting[0][1] < COALESCE_MS:
            return ()
        return self.rest()

    def rest(self) -> Sequence[Arrived]:
        """Return what still waits."""
        waiting, self._waiting = self._waiting, []
        return waiting
