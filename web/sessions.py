"""Authentication: an API key, or the cookie of a session.

A cookie is 256 random bits. The catalog has a row for each session, with the hash of its cookie.
Key and session are read again every few seconds. So what ends a session or takes away a right
counts in all workers within RECHECK_MS.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from cachetools import TTLCache

from domain.errors import ConfigError, StoreError
from stores.catalog import Catalog
from stores.catalog.keys import ApiKey, find_key, note_key_use
from stores.catalog.sessions import OpenSession, find_session, note_session_use, token_hash

log = logging.getLogger(__name__)

COOKIE = "vigil_session"
HTTPS_COOKIE = f"__Host-{COOKIE}"
"""Its name over HTTPS: browsers take such a cookie from no other host and from no plain HTTP."""
RECHECK_MS = 5_000
"""A revoked key, or a session that ended in another process, is rejected after this time."""
MIN_SECRET = 32
MIN_DISTINCT = 10
"""Different characters of the secret: 32 random hex digits have more, `aaaa…` has one."""
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class _Known:
    """The result of a check, cached for RECHECK_MS. None: it is not valid."""

    found: ApiKey | OpenSession | None


def check_session_secret(secret: str) -> str:
    """Return the secret; raise ConfigError where it is too short or easy to guess."""
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
    return secret


class Sessions:
    """Checks keys and cookies against the catalog, and remembers the results for a short time."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._known: TTLCache[bytes, _Known] = TTLCache(10_000, RECHECK_MS, timer=clock_ms)

    async def of_key(self, catalog: Catalog, key: str) -> ApiKey | None:
        """Return the valid key; None where it is unknown, revoked or expired."""
        if not key or len(key) > MAX_KEY_LENGTH or not key.isascii():
            return None
        # Not the key itself: a memory dump must not contain it.
        name = hashlib.sha256(b"key " + key.encode()).digest()
        known = self._known.get(name)
        if known is None:
            known = _Known(await find_key(catalog, key))
            self._known[name] = known
            await self._note_key_use(catalog, known.found)
        if not isinstance(known.found, ApiKey) or known.found.is_expired(self._clock_ms()):
            return None
        return known.found

    async def of_cookie(
        self, catalog: Catalog, cookie: str, *, again: bool = False
    ) -> OpenSession | None:
        """Return the session of a cookie; None: unknown or ended, or its user or key is off.

        `again`: read it from the catalog, not from the cache.
        """
        if not cookie or len(cookie) > MAX_KEY_LENGTH or not cookie.isascii():
            return None
        now_ms = self._clock_ms()
        name = token_hash(cookie)
        known = None if again else self._known.get(name)
        if known is None:
            session = await find_session(catalog, cookie, now_ms)
            await self._note_use(catalog, session, now_ms)
            known = _Known(None if session is None else replace(session, seen_ms=now_ms))
            self._known[name] = known
        if not isinstance(known.found, OpenSession) or not known.found.is_valid(now_ms):
            return None
        return known.found

    def forget(self) -> None:
        """Read everything again at its next use: a right or a session was changed here."""
        self._known.clear()

    async def _note_use(self, catalog: Catalog, session: OpenSession | None, now_ms: int) -> None:
        if session is None:
            return
        await self._note_key_use(catalog, session.key)
        try:
            await note_session_use(catalog, session, now_ms)
        except StoreError as error:
            log.warning("the last use of a session is not recorded: %s", error)

    async def _note_key_use(self, catalog: Catalog, key: object) -> None:
        """Record the use of a valid key. Where that fails, the request is answered all the same."""
        if not isinstance(key, ApiKey) or key.is_expired(self._clock_ms()):
            return
        try:
            await note_key_use(catalog, key, self._clock_ms())
        except StoreError as error:
            log.warning("the last use of key %d is not recorded: %s", key.id, error)
