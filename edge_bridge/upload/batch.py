"""One request to the queue: the message bodies, and which item each of them reports."""

from dataclasses import dataclass, field

from domain.identity import FragmentId
from edge_bridge.spool.rows import OutboxMessage
from stores.message_batch import MAX_BATCH, MAX_BATCH_BYTES, signature_bytes

MAX_BODY_BYTES = MAX_BATCH_BYTES - 4_096
"""Of all bodies of a batch; the rest is for what SQS counts besides them."""

QueueItem = OutboxMessage | FragmentId | str | None
"""A message of the outbox, a fragment's notice, the end of a run (its id); None: a heartbeat."""


@dataclass(slots=True)
class QueueBatch:
    """Bodies in order, and the item that each of them reports."""

    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str | None] = field(default_factory=list)
    items: list[QueueItem] = field(default_factory=list)
    size: int = 0
    """Bytes of all bodies and their signatures."""
    max_messages: int = MAX_BATCH
    heartbeat: bytes | None = None
    """The heartbeat among the bodies, if there is one."""

    def add(self, body: bytes, item: QueueItem, signature: str | None = None) -> bool:
        """Add a body; False: the batch is full."""
        size = len(body) + signature_bytes(signature)
        full = self.bodies and self.size + size > MAX_BODY_BYTES
        if len(self.bodies) >= self.max_messages or full:
            return False
        self.bodies.append(body)
        self.items.append(item)
        self.signatures.append(signature)
        self.size += size
        return True
