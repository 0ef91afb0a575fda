"""What a store says about an object, without its bytes."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's properties, without its bytes."""

    key: str
    size_bytes: int
    metadata: Mapping[str, str]
    """User metadata, names in lower case; empty in listings."""
    modified_ms: int = 0
    """When it was last written, by the store's clock (UTC ms, usually whole seconds)."""
    sha256: str | None = None
    """SHA-256 of the bytes in hex, computed by the store; None where it is not known."""


def decode_checksum(text: str) -> str | None:
    """Return the SHA-256 of the whole object; that of a multipart upload covers only its parts."""
    try:
        checksum = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return checksum.hex() if len(checksum) == hashlib.sha256().digest_size else None
