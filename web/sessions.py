"""Who asks: an API key, or the signed cookie that a key was exchanged for.

The cookie says which key it stands for and until when; the key is looked up again within
seconds, so that revoking it ends its sessions. Nothing is kept on the server.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from domain.errors import ConfigError
from stores.catalog import Catalog
from stores.catalog.keys import ApiKey, find_key, get_key
from web.recent import Recent

COOKIE = "vigil_session"
LIFETIME_MS = 7 * 86_400_000
RECHECK_MS = 5_000
"""A revoked key is refused after this time at the latest."""
MIN_SECRET = 32
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class _Known:
    """The answer to "is it valid?", kept for RECHECK_MS."""

    key: ApiKey | None


class Sessions:
    """Checks keys and cookies; makes cookies."""

    def __init__(self, secret: str) -> None:
        """Raise ConfigError where the secret is too short to sign anything."""
        if len(secret) < MIN_SECRET:
            raise ConfigError(
                f"VIGIL_SESSION_SECRET has {len(secret)} characters; set at least {MIN_SECRET} "
                "random ones, the same for all web workers."
            )
        self._secret = secret.encode()
        self._known: Recent[bytes | int, _Known] = Recent(
            10_000, weigh=lambda _: 1, live_ms=RECHECK_MS
        )

    async def of_key(self, catalog: Catalog, key: str, now_ms: int) -> ApiKey | None:
        """Return whose key this is; None where it is unknown or revoked."""
        if not key or len(key) > MAX_KEY_LENGTH:
            return None
        # Not the key itself: memory dumps should not hold it either.
        remembered = hashlib.sha256(key.encode()).digest()
        known = self._known.get(remembered, now_ms)
        if known is None:
            known = _Known(await find_key(catalog, key))
            self._known.put(remembered, known, now_ms)
        return known.key

    async def of_cookie(self, catalog: Catalog, cookie: str, now_ms: int) -> ApiKey | None:
        """Return whose session this is; None where it is forged, over, or its key revoked."""
        number = self._read(cookie, now_ms)
        if number is None:
            return None
        known = self._known.get(number, now_ms)
        if known is None:
            known = _Known(await get_key(catalog, number))
            self._known.put(number, known, now_ms)
        return known.key

    def cookie_for(self, key: ApiKey, now_ms: int) -> str:
        """Return a cookie's value for a key's session."""
        payload = json.dumps({"key": key.id, "until_ms": now_ms + LIFETIME_MS}).encode()
        return f"{_encode(payload)}.{_encode(self._sign(payload))}"

    def _read(self, cookie: str, now_ms: int) -> int | None:
        """Return the number of the key that a cookie stands for."""
        try:
            payload, signature = (_decode(part) for part in cookie[:1_000].split("."))
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(signature, self._sign(payload)):
            return None
        said = json.loads(payload)
        return int(said["key"]) if now_ms < said["until_ms"] else None

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, b"session " + payload, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
