"""The bound of the outbox: what goes where messages are more than it may hold.

First the oldest detections, then those held back while the clock was wrong, then the oldest
heartbeats, and last the starts of runs: they are few, and the cloud makes a run known by its first
fragment where its start is missing.
"""

import logging
from collections.abc import Sequence

from edge_bridge import metrics
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.undated_rows import UNDATED_PREFIX

log = logging.getLogger(__name__)

DROPPED_FIRST = (
    "detection",
    UNDATED_PREFIX + "detection",
    "heartbeat",
    "run-started",
    UNDATED_PREFIX + "run-started",
)
_AT_ONCE = 64
"""Of a full outbox a 64th goes at once, so that not each message has to make its own room."""


class Outbox:
    """Messages in the journal, at most `most_bytes` of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.recount()

    def recount(self) -> None:
        """Count anew, after others have changed messages."""
        self._bytes = self._journal.message_bytes()

    @property
    def total_bytes(self) -> int:
        """Of all messages, those held back included."""
        return self._bytes

    def put(self, messages: Sequence[tuple[str, bytes]], most_bytes: int) -> None:
        """Add messages (type, body) in order, all or none; the oldest make room for them."""
        freed = 0
        with self._journal.transaction():
            freed = self._put(messages, most_bytes)
        self._bytes += sum(len(body) for _, body in messages) - freed

    def put_start(self, kind: str, body: bytes, most_bytes: int) -> None:
        """Add a run's start, within the transaction of its first fragment."""
        self._bytes += len(body) - self._put([(kind, body)], most_bytes)

    def sent(self, bodies: Sequence[bytes]) -> None:
        """Note that messages are gone."""
        self._bytes -= sum(map(len, bodies))

    def _put(self, messages: Sequence[tuple[str, bytes]], most_bytes: int) -> int:
        """Add messages; return the bytes that were dropped for them."""
        over, freed = self._bytes + sum(len(body) for _, body in messages) - most_bytes, 0
        if over > 0:
            freed = self._drop(over + most_bytes // _AT_ONCE)
        for kind, body in messages:
            self._journal.put_message(kind, body)
        return freed

    def _drop(self, over: int) -> int:
        freed = 0
        for kind in DROPPED_FIRST:
            if freed >= over:
                break
            dropped, size = self._journal.drop_oldest_messages(kind, over - freed)
            freed += size
            if dropped:
                metrics.MESSAGES_DROPPED.inc(dropped)
                log.warning("the outbox is full: %d of the oldest %ss dropped", dropped, kind)
        return freed
