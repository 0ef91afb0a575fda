"""Encrypt what a browser or the catalog keeps for us: AES-256-GCM, keys by the session secret."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class SealedBox:
    """Encrypts and authenticates small texts for one purpose."""

    def __init__(self, secret: str, purpose: str) -> None:
        """`purpose`: a box opens only what a box of the same purpose closed."""
        key = HKDF(SHA256(), 32, salt=None, info=f"vigil {purpose}".encode()).derive(
            secret.encode()
        )
        self._cipher = AESGCM(key)

    def seal(self, text: str, owner: str = "") -> bytes:
        """Return the encrypted text. It opens only for the same owner, such as a row's id."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), owner.encode())

    def open(self, sealed: bytes, owner: str = "") -> str | None:
        """Return the text; None where it was changed, or is of another owner or secret."""
        nonce, encrypted = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, encrypted, owner.encode()).decode()
        except (InvalidTag, ValueError):
            return None
