"""Ed25519 private keys in PEM files that only their owner reads."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import ConfigError


def create_private_key_file(path: Path) -> Ed25519PrivateKey:
    """Make a key and write it to a new file that only its owner reads; ConfigError if it exists."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}.") from None
    with os.fdopen(file, "wb") as opened:
        opened.write(pem)
        opened.flush()
        os.fsync(opened.fileno())
    return key


def read_private_key_file(path: Path, setting: str, remedy: str) -> Ed25519PrivateKey:
    """Return the key of a PEM file; ConfigError, which begins with `setting`, if it is not one."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{setting}: {path}: {error.strerror}.") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{setting}: {path} is not an Ed25519 key in PEM without a password. {remedy}"
        )
    return key
