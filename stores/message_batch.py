"""Batches of messages as SQS takes them: their limits, and what it rejects of one."""

from dataclasses import dataclass
from typing import Any

from domain.device_identity import SIGNATURE

MAX_BATCH = 10
"""The most messages that SQS takes in one request."""
MAX_BATCH_BYTES = 256 << 10
"""The most bytes that SQS takes in one request, all messages and their attributes together."""


_STRING = "String"


def text_attributes(**texts: str | None) -> dict[str, Any]:
    """Return what an entry of a batch adds for its attributes of text; None: it is left out."""
    known = {name: text for name, text in texts.items() if text is not None}
    if not known:
        return {}
    return {
        "MessageAttributes": {
            name: {"DataType": _STRING, "StringValue": text} for name, text in known.items()
        }
    }


def signature_bytes(signature: str | None) -> int:
    """Return the bytes that SQS counts for the attribute of a message's signature."""
    return 0 if signature is None else len(SIGNATURE) + len(_STRING) + len(signature)


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
