"""The bound of the outbox: what goes where messages are more than it may hold.

First the oldest detections, then those held back while the clock was wrong, then the oldest
heartbeats. Starts of runs stay: they are few, and the rest makes no sense without them.
"""

import logging
from collections.abc import Sequence

from edge_bridge import metrics
from edge_bridge.spool.held_rows import HELD
from edge_bridge.spool.journal import Journal

log = logging.getLogger(__name__)

DROPPED_FIRST = ("detection", HELD + "detection", "heartbeat")


class Outbox:
    """Messages in the journal, at most `most_bytes` of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.recount()

    def recount(self) -> None:
        """Count anew, after others have changed messages."""
        self._bytes = self._journal.message_bytes()

    def put(self, messages: Sequence[tuple[str, bytes]], most_bytes: int) -> None:
        """Add messages (type, body) in order, all or none; the oldest make room for them."""
        size = sum(len(body) for _, body in messages)
        with self._journal.together():
            if (over := self._bytes + size - most_bytes) > 0:
                self._drop(over)
            for kind, body in messages:
                self._journal.put_message(kind, body)
        self._bytes += size

    def put_start(self, kind: str, body: bytes) -> None:
        """Add a run's start, within the transaction of its first fragment."""
        self._journal.put_message(kind, body)
        self._bytes += len(body)

    def sent(self, bodies: Sequence[bytes]) -> None:
        """Note that messages are gone."""
        self._bytes -= sum(map(len, bodies))

    def _drop(self, over: int) -> None:
        for kind in DROPPED_FIRST:
            if dropped := self._journal.drop_oldest_messages(kind, over):
                metrics.MESSAGES_DROPPED.inc(dropped)
                log.warning("the outbox is full: %d of the oldest %ss dropped", dropped, kind)
                break
        self.recount()
