"""Which device says something, and whether it may: signatures of events, generations, states.

A device signs the exact bytes of each event with its Ed25519 key. The signature travels with the
event, outside of it: as the attribute `signature` of an SQS message, as metadata of an S3 object,
and as a header in Kafka. docs/design/edge-link.md says why.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import InvalidEventError, InvalidIdError
from domain.identity import CAMERA_PATTERN

SIGNATURE = "signature"
"""Name of the SQS attribute, the S3 metadata and the Kafka header."""
MAX_SIGNATURE_CHARS = 400
_DOMAIN = b"vigil-event-v1\0"
_TEXT = re.compile(
    r"v1 (?P<device>[a-z0-9/-]{5,191}) (?P<generation>[1-9][0-9]{0,8}) (?P<key>[0-9a-f]{32}) "
    r"(?P<value>[A-Za-z0-9_-]{86})"
)

UnsignedPolicy = Literal["accept", "warn", "refuse"]
"""What a site does with events without a signature."""
DeviceState = Literal["enrolled", "locked", "revoked"]


class SignatureError(InvalidEventError):
    """An event was not signed by a device that may send it.

    `code`: unsigned, malformed, unknown, foreign, revoked, locked, generation or forged.
    """

    def __init__(self, code: str, text: str) -> None:
        """`text`: what is wrong, for an operator."""
        super().__init__(f"{code}: {text}")
        self.code = code


def check_device(device: str) -> str:
    """Return `device` when it is tenant/site/device in slugs; raise InvalidIdError otherwise."""
    if not re.fullmatch(CAMERA_PATTERN, device):
        raise InvalidIdError(
            f"{device!r} is not a device id: write tenant/site/device in lower-case letters, "
            "digits and inner hyphens, at most 63 characters each."
        )
    return device


def key_id(public_key: bytes) -> str:
    """Return the id of a raw Ed25519 public key of 32 bytes: half of its SHA-256, hex."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def signed_bytes(device: str, generation: int, body: bytes) -> bytes:
    """Return what is signed: the format, who signs, and the exact bytes of the event."""
    return b"%b%b\0%d\0%b" % (_DOMAIN, device.encode(), generation, body)


@dataclass(frozen=True, slots=True)
class EventSignature:
    """A signature as it travels: `v1 DEVICE GENERATION KEY VALUE`, in ASCII."""

    device: str
    """tenant/site/device."""
    generation: int
    """Of the certificate that the device held when it signed."""
    key: str
    """Id of the public key."""
    value: bytes
    """64 bytes, Ed25519."""

    @classmethod
    def sign(
        cls, private_key: Ed25519PrivateKey, key: str, device: str, generation: int, body: bytes
    ) -> Self:
        """Sign the bytes of an event."""
        return cls(
            device, generation, key, private_key.sign(signed_bytes(device, generation, body))
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the signature in `text`. Raises SignatureError `malformed`."""
        match = _TEXT.fullmatch(text) if len(text) <= MAX_SIGNATURE_CHARS else None
        if match is None or not re.fullmatch(CAMERA_PATTERN, match["device"]):
            raise SignatureError("malformed", "the signature cannot be read")
        value = base64.urlsafe_b64decode(match["value"] + "==")
        return cls(match["device"], int(match["generation"]), match["key"], value)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        value = base64.urlsafe_b64encode(self.value).rstrip(b"=").decode()
        return f"v1 {self.device} {self.generation} {self.key} {value}"

    @property
    def site(self) -> str:
        """tenant/site of the device."""
        return self.device.rsplit("/", 1)[0]


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One key of a device. An enrolment brings a new one, a renewal keeps it."""

    public_key: bytes
    """Raw, 32 bytes."""
    first_generation: int
    last_generation: int | None = None
    """None: the key is in use."""
    revoked: bool = False
    """Nothing that it signed is believed any more, however old."""


@dataclass(frozen=True, slots=True)
class Device:
    """What the cloud knows of a device when it checks a signature."""

    id: str
    """tenant/site/device."""
    state: DeviceState
    generation: int
    """The newest that was issued."""
    keys: Mapping[str, DeviceKey] = field(default_factory=dict)
    """By key id."""


def check_signature(
    text: str | None,
    body: bytes,
    site: str,
    devices: Mapping[str, Device],
    policy: UnsignedPolicy,
) -> EventSignature | None:
    """Return who signed an event about `site`; None: no device, and the site's policy permits that.

    `text`: the signature that came with the event, None where none came. A wrong signature is
    refused under each policy. Raises SignatureError with its code and the reason.
    """
    if text is None:
        if policy == "refuse":
            raise SignatureError("unsigned", f"{site} refuses events that no device signed")
        return None
    signature = EventSignature.parse(text)
    if signature.site != site:
        raise SignatureError("foreign", f"{signature.device} may not send events about {site}")
    device = devices.get(signature.device)
    if device is None:
        raise SignatureError("unknown", f"no device {signature.device} is enrolled")
    if device.state != "enrolled":
        raise SignatureError(device.state, f"the device {device.id} is {device.state}")
    key = device.keys.get(signature.key)
    if key is None:
        raise SignatureError("unknown", f"{device.id} has no key {signature.key}")
    if key.revoked:
        raise SignatureError("revoked", f"the key {signature.key} of {device.id} is revoked")
    last = device.generation if key.last_generation is None else key.last_generation
    if not key.first_generation <= signature.generation <= last:
        raise SignatureError(
            "generation", f"{device.id} signed as generation {signature.generation}, not issued"
        )
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(
            signature.value, signed_bytes(signature.device, signature.generation, body)
        )
    except InvalidSignature:
        raise SignatureError(
            "forged", f"the signature of {device.id} does not match the event"
        ) from None
    return signature
