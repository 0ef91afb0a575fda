"""Batches of messages as SQS takes them: their limits, and what it rejects of one."""

from dataclasses import dataclass

MAX_BATCH = 10
"""The most messages that SQS takes in one request."""
MAX_BATCH_BYTES = 256 << 10
"""The most bytes that SQS takes in one request, all messages and their attributes together."""


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message of a batch that the queue rejected; it may have accepted the others."""

    index: int
    """Its index in the batch."""
    sender_fault: bool
    """SQS's SenderFault. True: sending it again is useless. False: the queue failed, try again."""
    reason: str


def rejected_messages(failed: list[dict[str, object]]) -> list[RejectedMessage]:
    """Return what the `Failed` of SQS's answer says, in the order of the batch."""
    return sorted(
        (
            RejectedMessage(
                int(str(entry["Id"])),
                bool(entry.get("SenderFault", False)),
                f"{entry.get('Code', '')}: {entry.get('Message', '')}"[:300],
            )
            for entry in failed
        ),
        key=lambda rejected: rejected.index,
    )
