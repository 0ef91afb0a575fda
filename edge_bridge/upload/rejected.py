"""Messages that the queue rejects: they are isolated, so that they block nothing else.

batch rejected as a whole ──► its messages are sent one by one ──► the one at fault: quarantine
one rejected by name ────────────────────────────────────────────► quarantine
the queue accepts another ──► the quarantined are tried once more, alone ──► rejected: at fault
it accepts none ────────────► the queue itself is at fault: all are tried again, none is discarded
"""

from collections import deque
from dataclasses import dataclass, field

from edge_bridge.upload.batch import QueueItem

MAX_QUARANTINED = 10
"""So many rejected one after the other: the queue itself is at fault."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that is sent alone."""

    body: bytes
    item: QueueItem
    retried: bool
    """Whether it was rejected before, and the queue has accepted others since."""


@dataclass(slots=True)
class RejectedMessages:
    """Which messages are sent alone, and which wait until the queue accepts another."""

    suspects: deque[Suspect] = field(default_factory=deque)
    quarantined: dict[QueueItem, bytes] = field(default_factory=dict)

    def batch_rejected(self, bodies: list[bytes], items: list[QueueItem]) -> None:
        """Note a batch that was rejected: any message may be at fault, so each is sent alone."""
        self.suspects.extend(
            Suspect(body, item, False) for body, item in zip(bodies, items, strict=True)
        )

    def message_rejected(self, body: bytes, item: QueueItem, retried: bool) -> bool:
        """Note a message that was rejected; True: it is at fault.

        A heartbeat (None) never is: there will be another.
        """
        if retried or item is None:
            return retried
        self.quarantined[item] = body
        if len(self.quarantined) >= MAX_QUARANTINED:
            self.quarantined.clear()
        return False

    def accepted(self) -> None:
        """Note that the queue accepted something: the quarantined are tried once more."""
        self.suspects.extend(Suspect(body, item, True) for item, body in self.quarantined.items())
        self.quarantined.clear()
