"""Renewals of a device's certificate: what is signed, and what each request gets.

A renewal names the generation that it replaces, and a random id that the device stored before it
asked. The same id gets the same certificate again, so a lost answer does no harm. Another id for a
generation that was replaced already means that two devices hold the identity.
"""

import re
from dataclasses import dataclass
from typing import Literal

from domain.device_identity import DeviceState

GRACE_MS = 30 * 86_400_000
"""An expired certificate can be renewed for this long, by its key."""
RENEWAL_ID = r"[0-9a-f]{32}"
_DOMAIN = b"vigil-renewal-v1\0"


def renewal_bytes(device: str, generation: int, renewal_id: str) -> bytes:
    """Return what the device's key signs for a renewal."""
    assert re.fullmatch(RENEWAL_ID, renewal_id), renewal_id
    return b"%b%b\0%d\0%b" % (_DOMAIN, device.encode(), generation, renewal_id.encode())


@dataclass(frozen=True, slots=True)
class IssuedGeneration:
    """What the cloud knows of a device when it is asked for a renewal."""

    state: DeviceState
    generation: int
    """The newest that was issued."""
    renewal_id: str
    """Of the request for it."""
    expires_ms: int
    """When its certificate expires, UTC."""
    can_rejoin: bool = False
    """After an unlock: the next renewal is accepted with whatever generation."""


RenewalDecision = Literal["issue", "repeat", "lock", "locked", "revoked", "expired", "unknown"]
"""issue: a new certificate; repeat: the newest again; lock: two holders, lock the identity now."""


def decide_renewal(
    issued: IssuedGeneration,
    generation: int,
    renewal_id: str,
    now_ms: int,
    *,
    is_proven: bool = False,
) -> RenewalDecision:
    """Return what a renewal with a valid signature of the device's key gets; `now_ms`: UTC.

    `is_proven`: the device showed a certificate of this generation that our authority signed.
    """
    if issued.state != "enrolled":
        return issued.state
    if generation > issued.generation:
        # The catalog was restored from a backup that is older than the certificate.
        return "issue" if is_proven else "unknown"
    if generation == issued.generation - 1 and renewal_id == issued.renewal_id:
        return "repeat"
    if now_ms > issued.expires_ms + GRACE_MS:
        return "expired"
    if generation == issued.generation or issued.can_rejoin:
        return "issue"
    return "lock"
