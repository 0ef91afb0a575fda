"""A release: which image and which system a device of each hardware runs; signed, checked.

    release key (a person's file) ──signs──► text of the release ──► catalog ──► device: verifies

The centre can withhold a release, and choose between signed ones. It cannot make one. A release
names the oldest one that it may follow, and that a device may return to: `oldest`, the rollback
index of Android's verified boot. So a hostile centre cannot bring back an old, vulnerable version.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.device_identity import key_id
from domain.errors import ConfigError
from domain.validation_text import explain_all

FORMAT = 1
SKEW = 2
"""Version skew N-2: `oldest` is by default the second usable release before this one."""
MAX_TEXT_BYTES = 16_384
MAX_NUMBER = (1 << 31) - 1
IMAGE = r"^sha256:[0-9a-f]{64}$"
HARDWARE = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
VERSION = r"^[0-9A-Za-z](?:[0-9A-Za-z.+-]{0,48}[0-9A-Za-z])?$"
_DOMAIN = b"vigil-release-v1\0"

ReleaseRefusal = Literal["unknown-key", "forged", "malformed", "hardware", "older", "skew"]


class ReleaseRefusedError(ConfigError):
    """A device does not install a release. `code`: why; the text is for an operator."""

    def __init__(self, code: ReleaseRefusal, text: str) -> None:
        super().__init__(text)
        self.code = code


class _ReleasePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SystemBundle(_ReleasePart):
    """A bundle of RAUC for the device's system."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the bundle's file")
    size_bytes: int = Field(gt=0, le=16 << 30, description="of the bundle's file")
    compatible: str = Field(
        min_length=1, max_length=100, description="RAUC's `compatible` of the slots it fits"
    )
    version: str = Field(pattern=VERSION, description="of the system")


class ReleaseTarget(_ReleasePart):
    """What a device of one hardware runs."""

    image: str = Field(pattern=IMAGE, description="digest of the recorder's container image")
    bundle: SystemBundle | None = Field(None, description="null: the system stays as it is")


class FleetRelease(_ReleasePart):
    """A release. `text` is its canonical form, which is signed."""

    format: Literal[1] = 1
    number: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    """Grows by one."""
    version: str = Field(pattern=VERSION)
    oldest: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    """It may follow this one and later ones. A device that runs it returns to none below."""
    targets: Annotated[
        dict[Annotated[str, Field(pattern=HARDWARE)], ReleaseTarget],
        Field(min_length=1, max_length=16),
    ]
    """By hardware, such as x86-64 or x86-64-nvidia."""

    @model_validator(mode="after")
    def _oldest_is_not_newer(self) -> Self:
        if self.oldest > self.number:
            raise ValueError("oldest is a later release")
        return self

    @property
    def text(self) -> str:
        """Return the canonical form: one text for one release."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the release of a canonical text. Raises ConfigError."""
        try:
            if len(text) > MAX_TEXT_BYTES:
                raise ConfigError("The release is larger than 16 KiB.")
            release = cls.model_validate(json.loads(text))
        except ValidationError as error:
            problems = "; ".join(explain_all(error, cls))
            raise ConfigError(f"The release is wrong: {problems}.") from None
        except (ValueError, RecursionError):
            raise ConfigError("The release is not JSON.") from None
        if release.text != text:
            raise ConfigError("The text of the release is not in its canonical form.")
        return release


@dataclass(frozen=True, slots=True)
class ReleaseSignature:
    """Ed25519. `key`: id of the public key."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A text that claims to be a release, and its signature. Nothing is checked yet."""

    text: str
    signature: ReleaseSignature


def sign_release(key: Ed25519PrivateKey, release: FleetRelease) -> SignedRelease:
    """Sign a release."""
    public = key.public_key().public_bytes_raw()
    return SignedRelease(
        release.text, ReleaseSignature(key_id(public), key.sign(_DOMAIN + release.text.encode()))
    )


def verify_release(signed: SignedRelease, trusted: Collection[bytes]) -> FleetRelease:
    """Return the release that one of the trusted raw public keys signed. ReleaseRefusedError."""
    key = {key_id(each): each for each in trusted}.get(signed.signature.key)
    if key is None:
        known = ", ".join(sorted(key_id(each) for each in trusted)) or "none"
        raise ReleaseRefusedError(
            "unknown-key",
            f"the release is signed by the key {signed.signature.key[:40]}, and this device "
            f"trusts {known}. Sign it with the release key, or bring the new key to the device "
            "with the playbook.",
        )
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(
            signed.signature.value, _DOMAIN + signed.text.encode("utf-8", "surrogatepass")
        )
    except (InvalidSignature, ValueError):
        raise ReleaseRefusedError("forged", "the signature is not of this release.") from None
    try:
        return FleetRelease.parse(signed.text)
    except ConfigError as error:
        raise ReleaseRefusedError("malformed", str(error)) from None


def check_release(
    release: FleetRelease, hardware: str, running: int | None, floor: int
) -> ReleaseTarget:
    """Return what a device installs of a verified release. ReleaseRefusedError.

    `running`: number of the release that the device runs, None where it is not known. `floor`: the
    largest `oldest` of all releases that the device has run.
    """
    target = release.targets.get(hardware)
    if target is None:
        raise ReleaseRefusedError(
            "hardware",
            f"release {release.number} is for {', '.join(sorted(release.targets))}, and this "
            f"device is {hardware}.",
        )
    if release.number < floor:
        raise ReleaseRefusedError(
            "older",
            f"release {release.number} is older than {floor}, the oldest that this device may "
            "return to.",
        )
    if running is not None and running < release.oldest:
        raise ReleaseRefusedError(
            "skew",
            f"release {release.number} follows {release.oldest} and later ones, and this device "
            f"runs {running}. Install one between them first.",
        )
    return target


def next_step(
    running: int | None, wanted: FleetRelease, usable: Mapping[int, FleetRelease]
) -> int | None:
    """Return the number of the release that a device installs next on its way to `wanted`.

    None: no usable release leads there.
    """
    if running is None or running >= wanted.oldest:
        return wanted.number
    between = [
        number
        for number, release in usable.items()
        if release.oldest <= running < number < wanted.number
    ]
    return max(between, default=None)


def default_oldest(number: int, usable: Collection[int]) -> int:
    """Return `oldest` of a new release: the second usable one before it, or the first there is."""
    before = sorted((each for each in usable if each < number), reverse=True)
    return min([*before[:SKEW], number])


def release_of_image(image: str, releases: Mapping[int, FleetRelease]) -> int | None:
    """Return the newest release that has this image for some hardware; None: there is none."""
    found = [
        number
        for number, release in releases.items()
        if any(target.image == image for target in release.targets.values())
    ]
    return max(found, default=None)


def parse_hardware(text: str) -> str:
    """Return a name of hardware; raise ConfigError otherwise."""
    if not re.fullmatch(HARDWARE, text):
        raise ConfigError(f"{text!r} is not a name of hardware: write one such as x86-64.")
    return text


def release_from(fields: Mapping[str, Any]) -> FleetRelease:
    """Return a release of these fields. Raises ConfigError, which names all mistakes."""
    try:
        return FleetRelease.model_validate(dict(fields))
    except ValidationError as error:
        problems = "; ".join(explain_all(error, FleetRelease))
        raise ConfigError(f"The release is wrong: {problems}.") from None
