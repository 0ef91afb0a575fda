"""Events as the device sends them: signed if it is enrolled, else as the version before sent them.

A device signs at sending, not at recording: one that was away for days signs with a generation that
the cloud knows (docs/design/edge-link.md). Only a cloud that reads version 2 can enrol a device. So
an event of version 2 never reaches a cloud that does not know it.
"""

from typing import NamedTuple, Protocol

from domain.device_identity import SIGNATURE
from domain.events import FragmentArrived
from domain.events.registry import encode
from edge_bridge.spool.rows import SpooledFragment


class Signer(Protocol):
    """Signs for this device."""

    def sign(self, body: bytes) -> str | None:
        """Return the signature of an event's bytes; None: the device is not enrolled."""


class NotEnrolled:
    """A device without identity."""

    def sign(self, body: bytes) -> None:
        """Sign nothing."""


class SignedBody(NamedTuple):
    """The bytes of an event, and their signature."""

    body: bytes
    signature: str | None


def notice_of(row: SpooledFragment, signer: Signer) -> SignedBody:
    """Return the notice of a fragment that is in S3."""
    body = row.event.encode()
    if row.prev_sha256 is None:
        return SignedBody(body, signer.sign(body))
    try:
        event = FragmentArrived.model_validate_json(body)
    except ValueError:  # a damaged row: the cloud rejects it, and says why
        return SignedBody(body, signer.sign(body))
    chained = encode(event.with_previous(row.prev_sha256))
    signature = signer.sign(chained)
    return SignedBody(body if signature is None else chained, signature)


def metadata_of(event: FragmentArrived, signer: Signer) -> dict[str, str]:
    """Return the metadata of a fragment's object."""
    signature = signer.sign(encode(event.without_keyframes))
    if signature is None:
        return event.with_previous(None).metadata()
    return {**event.metadata(), SIGNATURE: signature}


def end_metadata(body: bytes, signer: Signer) -> dict[str, str]:
    """Return the metadata of a run's end.json."""
    signature = signer.sign(body)
    return {} if signature is None else {SIGNATURE: signature}
