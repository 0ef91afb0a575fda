"""Ed25519 keys of the audit log: make, read, sign a head, verify its signature."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.audit import canonical
from domain.audit_verify import AuditHead, parse_head
from domain.errors import ConfigError, InvalidEventError
from stores.key_files import create_private_key_file, read_private_key_file

CONTEXT = b"vigil audit head\n"
"""Put before what is signed: the key's signatures are valid for nothing else."""


class HeadSigner:
    """Signs heads with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.id = key_id(key.public_key())

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM."""
        return public_pem(self._key.public_key())

    def sign(self, chain: str, seq: int, digest: bytes, at_ms: int) -> bytes:
        """Return the signed head of a chain as a JSON object: head and signature."""
        statement = AuditHead(chain, seq, digest, at_ms, self.id).statement()
        signature = self._key.sign(CONTEXT + statement.encode())
        text = base64.b64encode(signature).decode()
        return canonical({"head": json.loads(statement), "signature": text}).encode()


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id of a key: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def create_key_file(path: Path) -> HeadSigner:
    """Make a key and write it to a new file that only its owner reads; ConfigError if it exists."""
    return HeadSigner(create_private_key_file(path))


def read_key_file(path: Path) -> HeadSigner:
    """Return the signer of a PEM file; ConfigError where it is not an Ed25519 key."""
    remedy = "Make one with `vigil audit key FILE`."
    return HeadSigner(read_private_key_file(path, "VIGIL_AUDIT_KEY_FILE", remedy))


def read_public_keys(paths: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    """Return the public keys of PEM files by their ids; ConfigError where one is not Ed25519."""
    keys: dict[str, Ed25519PublicKey] = {}
    for path in paths:
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{path} is not an Ed25519 public key in PEM.")
        keys[key_id(key)] = key
    return keys


def verified_head(signed: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey]) -> AuditHead:
    """Return the head of a signed one; InvalidEventError where no given key has signed it."""
    try:
        head = parse_head(signed["head"])
        signature = base64.b64decode(signed["signature"], validate=True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidEventError(f"This is not a signed head: {error}.") from None
    key = keys.get(head.key)
    if key is None:
        raise InvalidEventError(
            f"The head of entry {head.seq} of {head.chain} was signed with the key {head.key}. "
            "Give its public key with --public-key."
        )
    try:
        key.verify(signature, CONTEXT + head.statement().encode())
    except InvalidSignature:
        raise InvalidEventError(
            f"The signature of the head of entry {head.seq} of {head.chain} is not valid."
        ) from None
    return head
