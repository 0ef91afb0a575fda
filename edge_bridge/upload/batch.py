"""What one request to the queue carries, and what it settles."""

from dataclasses import dataclass, field

from domain.identity import FragmentId
from edge_bridge.spool.rows import OutboxMessage
from stores.queue import MAX_BATCH, MAX_BATCH_BYTES

ROOM = MAX_BATCH_BYTES - 4_096
"""Bytes of a batch; the rest is for what SQS counts besides the bodies."""

QueueItem = OutboxMessage | FragmentId | str | None
"""A message of the outbox, a fragment's notice, the end of a run; None: a heartbeat."""


@dataclass(slots=True)
class QueueBatch:
    """Bodies in order, and what each of them settles."""

    bodies: list[bytes] = field(default_factory=list)
    settles: list[QueueItem] = field(default_factory=list)
    size: int = 0
    most: int = MAX_BATCH
    heartbeat: bytes | None = None

    def add(self, body: bytes, settles: QueueItem) -> bool:
        """Add a body; False: it does not fit any more."""
        if len(self.bodies) >= self.most or (self.bodies and self.size + len(body) > ROOM):
            return False
        self.bodies.append(body)
        self.settles.append(settles)
        self.size += len(body)
        return True
