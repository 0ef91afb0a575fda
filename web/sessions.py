"""Authentication: an API key, or the signed cookie that a key was exchanged for.

The cookie contains the number of its key and when it expires. The key is checked again every few
seconds, so revoking it ends its sessions. The catalog stores the sessions that were signed out of,
until their cookies expire.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

from domain.errors import ConfigError, StoreError
from stores.catalog import Catalog
from stores.catalog.keys import ApiKey, end_session, find_key, get_key, note_key_use

log = logging.getLogger(__name__)

COOKIE = "vigil_session"
HTTPS_COOKIE = f"__Host-{COOKIE}"
"""Its name over HTTPS: browsers take such a cookie from no other host and from no plain HTTP."""
LIFETIME_MS = 7 * 86_400_000
RECHECK_MS = 5_000
"""A revoked key, or a session that ended in another process, is rejected after this time."""
MIN_SECRET = 32
MIN_DISTINCT = 10
"""Different characters of the secret: 32 random hex digits have more, `aaaa…` has one."""
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class _Known:
    """The result of a check, cached for RECHECK_MS. None: the key is not valid."""

    key: ApiKey | None


@dataclass(frozen=True, slots=True)
class _Cookie:
    """What a valid cookie says."""

    key: int
    fingerprint: str
    session: str
    until_ms: int


class Sessions:
    """Checks keys and cookies; creates cookies."""

    def __init__(self, secret: str, clock_ms: Callable[[], int]) -> None:
        """Raise ConfigError where the secret is too short for signatures."""
        if len(secret) < MIN_SECRET:
            raise ConfigError(
                f"VIGIL_SESSION_SECRET has {len(secret)} characters. Set at least {MIN_SECRET} "
                "random ones, the same for all web workers."
            )
        if len(set(secret)) < MIN_DISTINCT or "change-me" in secret:
            raise ConfigError(
                "VIGIL_SESSION_SECRET is an example, or easy to guess. Set a random one, such as "
                "the output of `openssl rand -base64 33`."
            )
        self._secret = secret.encode()
        self._clock_ms = clock_ms
        self._known: TTLCache[bytes | str, _Known] = TTLCache(10_000, RECHECK_MS, timer=clock_ms)

    async def of_key(self, catalog: Catalog, key: str) -> ApiKey | None:
        """Return the valid key; None where it is unknown, revoked or expired."""
        if not key or len(key) > MAX_KEY_LENGTH or not key.isascii():
            return None
        # Not the key itself: a memory dump must not contain it.
        key_hash = hashlib.sha256(key.encode()).digest()
        known = self._known.get(key_hash)
        if known is None:
            known = _Known(await find_key(catalog, key))
            self._known[key_hash] = known
            await self._note_use(catalog, known.key)
        return self._unexpired(known.key)

    async def of_cookie(self, catalog: Catalog, cookie: str, now_ms: int) -> ApiKey | None:
        """Return the session's key; None: forged, expired, signed out, or the key is revoked."""
        read = self._read(cookie, now_ms)
        if read is None:
            return None
        known = self._known.get(read.session)
        if known is None:
            known = _Known(await get_key(catalog, read.key, read.session))
            self._known[read.session] = known
            await self._note_use(catalog, known.key)
        # In a catalog that was made again, the number may be the one of another key.
        same = known.key is not None and hmac.compare_digest(
            known.key.fingerprint, read.fingerprint
        )
        return self._unexpired(known.key) if same else None

    def _unexpired(self, key: ApiKey | None) -> ApiKey | None:
        return None if key is None or key.is_expired(self._clock_ms()) else key

    async def _note_use(self, catalog: Catalog, key: ApiKey | None) -> None:
        """Record the use of a valid key. Where that fails, the request is answered all the same."""
        if key is None or key.is_expired(self._clock_ms()):
            return
        try:
            await note_key_use(catalog, key, self._clock_ms())
        except StoreError as error:
            log.warning("the last use of key %d is not recorded: %s", key.id, error)

    async def end(self, catalog: Catalog, cookie: str, now_ms: int) -> None:
        """Accept a valid cookie no more: here at once, in other processes within RECHECK_MS."""
        if (read := self._read(cookie, now_ms)) is not None:
            await end_session(catalog, read.session, read.until_ms, now_ms)
            self._known[read.session] = _Known(None)

    def cookie_for(self, key: ApiKey, now_ms: int) -> str:
        """Return the value of a cookie for a key's session."""
        payload = json.dumps(
            {
                "key": key.id,
                "print": key.fingerprint,
                "session": secrets.token_hex(16),
                "until_ms": now_ms + LIFETIME_MS,
            }
        ).encode()
        return f"{_encode(payload)}.{_encode(self._sign(payload))}"

    def _read(self, cookie: str, now_ms: int) -> _Cookie | None:
        """Return what the cookie says; None: it is forged or expired."""
        try:
            payload, signature = (_decode(part) for part in cookie[:1_000].split("."))
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(signature, self._sign(payload)):
            return None
        fields = json.loads(payload)
        if now_ms >= fields["until_ms"]:
            return None
        if "print" not in fields or "session" not in fields:
            return None  # the cookie of an older version
        return _Cookie(
            int(fields["key"]), fields["print"], fields["session"], int(fields["until_ms"])
        )

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, b"session " + payload, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
