"""Packets handled together if no one waits for them.

    arrives   p p p p p p p p p p p p
    handled             pppppp      pppppp    each with its own arrival

A thread that wakes up finds the processor's caches full of other threads' data. Then handling a
packet costs several times as much. Several packets at once pay for that only once.
"""

from collections.abc import Sequence

from media.packet import AnyPacket

COALESCE_MS = 400
"""From the first packet's arrival to the last one's."""

Arrived = tuple[AnyPacket, int]
"""A packet and the UTC (ms) of its arrival."""


class Coalescer:
    """Coalesces the packets of one connection. Only the next packet releases them, no timer."""

    def __init__(self) -> None:
        self._waiting: list[Arrived] = []

    def push(self, arrived: Arrived, low_latency: bool) -> Sequence[Arrived]:
        """Take a packet; return the packets to handle now, in order."""
        self._waiting.append(arrived)
        # If the clock is set back or far ahead, the packets are released at once.
        if not low_latency and 0 <= arrived[1] - self._waiting[0][1] < COALESCE_MS:
            return ()
        return self.flush()

    def flush(self) -> Sequence[Arrived]:
        """Return the packets that still wait."""
        waiting = self._waiting
        self._waiting = []
        return waiting
