"""Signatures of a site's configuration, and which signed configurations a device takes.

The installation's configuration key (Ed25519) signs each version where it is set: by the command,
not by a web worker. So a web worker can withhold a configuration, but it cannot make one. A device
pins the public key. docs/design/remote-config.md says why.
"""

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.device_identity import key_id
from domain.site_config import ConfigRefusedError, ConfigSignature, OfferedConfig, Successor
from domain.times import format_ms

_DOCUMENT = b"vigil-config-v1\0"
_SUCCESSOR = b"vigil-config-key-v1\0"
MAX_SUCCESSORS = 32
"""How many rotations a device follows at once."""


def signed_bytes(site: str, version: int, not_before_ms: int, text: str) -> bytes:
    """Return what is signed: the format, site, version, from when it holds, document."""
    head = f"{site}\0{version}\0{not_before_ms}\0"
    return _DOCUMENT + head.encode() + text.encode()


def sign_config(
    key: Ed25519PrivateKey, site: str, version: int, not_before_ms: int, text: str
) -> ConfigSignature:
    """Sign one version of a site's configuration."""
    public = key.public_key().public_bytes_raw()
    value = key.sign(signed_bytes(site, version, not_before_ms, text))
    return ConfigSignature(key_id(public), not_before_ms, value)


def sign_successor(key: Ed25519PrivateKey, public_key: bytes) -> Successor:
    """Sign the public key that replaces `key`."""
    return Successor(
        public_key, key_id(key.public_key().public_bytes_raw()), key.sign(_SUCCESSOR + public_key)
    )


def follow_successors(pinned: bytes, successors: Iterable[Successor]) -> list[bytes]:
    """Return the keys that a device with `pinned` trusts: that one, then each valid successor.

    What is not signed by the newest trusted key is left out.
    """
    trusted = [pinned]
    for one in list(successors)[:MAX_SUCCESSORS]:
        if one.signed_by != key_id(trusted[-1]) or len(one.public_key) != len(pinned):
            continue
        if _is_valid(trusted[-1], one.value, _SUCCESSOR + one.public_key):
            trusted.append(one.public_key)
    return trusted


def check_offer(
    offer: OfferedConfig,
    site: str,
    pinned: bytes | None,
    newest: tuple[int, str] | None,
    now_ms: int | None,
) -> bytes:
    """Return the key to pin from now on: the one that signed the offer. ConfigRefusedError.

    `pinned`: the public key that the device trusts, None where it has none. `newest`: number and
    digest of the newest signed version that the device has seen; an empty digest is not compared.
    `now_ms` None: the device does not know the time, so it does not wait for it.
    """
    version, signature = offer.version, offer.signature
    number = version.version
    if pinned is None:
        raise ConfigRefusedError(
            "no-key",
            "this device is enrolled, but knows no configuration key. Make one with "
            "`vigil config-key create`, then enrol the device again.",
        )
    if signature is None:
        raise ConfigRefusedError(
            "unsigned",
            f"version {number} is not signed, and an enrolled device takes signed ones only. "
            "Sign it with `vigil site config sign`.",
        )
    by_id = {key_id(key): key for key in follow_successors(pinned, offer.successors)}
    key = by_id.get(signature.key)
    if key is None:
        raise ConfigRefusedError(
            "unknown-key",
            f"version {number} is signed with the key {signature.key}, not with the key that this "
            f"device has pinned ({key_id(pinned)}).",
        )
    body = signed_bytes(site, number, signature.not_before_ms, version.text)
    if not _is_valid(key, signature.value, body):
        raise ConfigRefusedError(
            "forged", f"the signature is not of version {number} of the configuration of {site}."
        )
    if newest is not None and number < newest[0]:
        raise ConfigRefusedError(
            "older",
            f"version {number} is older than version {newest[0]}, which this device has seen. "
            "To return to it, use `vigil site config rollback`, which makes a new version.",
        )
    if newest is not None and number == newest[0] and newest[1] not in ("", version.digest):
        raise ConfigRefusedError(
            "changed",
            f"there are two versions {number}: this device has seen another one. After a restore "
            "of the catalog, set the next one with a number above it: "
            f"`vigil site config set --above {newest[0]}`.",
        )
    if now_ms is not None and now_ms < signature.not_before_ms:
        raise ConfigRefusedError(
            "early",
            f"version {number} holds from {format_ms(signature.not_before_ms)}: this device waits.",
        )
    return key


def _is_valid(public_key: bytes, signature: bytes, body: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, body)
    except (InvalidSignature, ValueError):
        return False
    return True
