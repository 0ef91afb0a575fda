"""The outbox: messages that wait for the queue, bounded in bytes.

Where they are too many, the oldest are dropped: first detections, then undated detections, then
heartbeats, and starts of runs last. Starts are few, and without one the cloud learns of the run
from its first fragment.
"""

import logging
from collections.abc import Sequence

from edge_bridge import metrics
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.undated_rows import UNDATED_PREFIX

log = logging.getLogger(__name__)

DROP_ORDER = (
    "detection",
    UNDATED_PREFIX + "detection",
    "heartbeat",
    "run-started",
    UNDATED_PREFIX + "run-started",
)
_DROP_SHARE = 64
"""A full outbox drops this fraction at once: not each message has to make its own space."""


class Outbox:
    """Messages in the journal, at most `max_bytes` of them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.recount()

    def recount(self) -> None:
        """Count again, after others changed messages."""
        self._bytes = self._journal.message_bytes()

    @property
    def total_bytes(self) -> int:
        """Bytes of all messages, the undated included."""
        return self._bytes

    def put(self, messages: Sequence[tuple[str, bytes]], max_bytes: int) -> None:
        """Add messages (type, body) in order, all or none; the oldest are dropped for them."""
        freed = 0
        with self._journal.transaction():
            freed = self._put(messages, max_bytes)
        self._bytes += sum(len(body) for _, body in messages) - freed

    def put_start(self, kind: str, body: bytes, max_bytes: int) -> None:
        """Add a run's start, within the transaction of its first fragment."""
        self._bytes += len(body) - self._put([(kind, body)], max_bytes)

    def sent(self, bodies: Sequence[bytes]) -> None:
        """Count messages that were sent and deleted."""
        self._bytes -= sum(map(len, bodies))

    def _put(self, messages: Sequence[tuple[str, bytes]], max_bytes: int) -> int:
        """Add messages; return the bytes that were dropped for them."""
        over, freed = self._bytes + sum(len(body) for _, body in messages) - max_bytes, 0
        if over > 0:
            freed = self._drop(over + max_bytes // _DROP_SHARE)
        for kind, body in messages:
            self._journal.put_message(kind, body)
        return freed

    def _drop(self, over: int) -> int:
        freed = 0
        for kind in DROP_ORDER:
            if freed >= over:
                break
            dropped, size = self._journal.drop_oldest_messages(kind, over - freed)
            freed += size
            if dropped:
                metrics.MESSAGES_DROPPED.inc(dropped)
                log.warning(
                    "the outbox is full: the %d oldest messages of type %s are dropped",
                    dropped,
                    kind,
                )
        return freed
