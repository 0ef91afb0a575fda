"""What the queue refuses for its own sake, so that it stops nothing else.

batch refused as a whole ──► its messages go one by one ──► the one at fault is put aside
one refused by name ──────────────────────────────────────► put aside
the queue takes another ──► what is aside is tried once more, alone ──► refused again: guilty
it takes none ────────────► the fault is the queue's: all is tried again, nothing is given up
"""

from collections import deque
from dataclasses import dataclass, field

from edge_bridge.upload.batch import QueueItem

MAX_QUARANTINED = 10
"""So many refused one after the other: it is the queue that is at fault."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that goes alone."""

    body: bytes
    what: QueueItem
    again: bool
    """Whether it was refused before, and the queue has taken others since."""


@dataclass(slots=True)
class RejectedMessages:
    """Who goes alone, and who waits until the queue takes another."""

    suspects: deque[Suspect] = field(default_factory=deque)
    aside: dict[QueueItem, bytes] = field(default_factory=dict)

    def batch(self, bodies: list[bytes], settles: list[QueueItem]) -> None:
        """The queue refused these together: any one may be at fault, so each goes alone."""
        self.suspects.extend(
            Suspect(body, what, False) for body, what in zip(bodies, settles, strict=True)
        )

    def one(self, body: bytes, what: QueueItem, again: bool) -> bool:
        """The queue refused one; True: it is guilty. A heartbeat is not: there will be another."""
        if again or what is None:
            return again
        self.aside[what] = body
        if len(self.aside) >= MAX_QUARANTINED:
            self.aside.clear()
        return False

    def taken(self) -> None:
        """The queue took something: what is aside is tried once more."""
        self.suspects.extend(Suspect(body, what, True) for what, body in self.aside.items())
        self.aside.clear()
