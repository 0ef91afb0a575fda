"""Who may see the page: one password, exchanged for a signed cookie."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable

from cachetools import LRUCache, TTLCache
from itsdangerous import BadData, TimestampSigner

from domain.errors import ConfigError

COOKIE = "vigil_edge"
LIFETIME_S = 12 * 3_600
MIN_PASSWORD = 8
MAX_COOKIE = 200
MAX_SESSIONS = 1_000
"""One more ends the oldest."""
FREE_TRIES = 5
"""Wrong passwords of one source that are answered at once; a free try comes back each second."""
MAX_WAITING = 8
"""Tries of one source that wait for their turn."""
TURN_S = 0.5
"""How long a try waits for its turn while its source is guessing, or many sources are."""
MAX_WRONG = 50
"""Wrong passwords of all sources that are answered at once; five come back each second."""
MAX_SOURCES = 1_000
GUESSES_PER_S = 5


class TooManyTriesError(Exception):
    """Too many passwords of one source are waiting to be checked."""


class PageAccess:
    """Checks passwords and cookies. `now_s` is a steady clock in seconds."""

    def __init__(self, password: str, now_s: Callable[[], float]) -> None:
        """Raise ConfigError for a password that is too short."""
        if len(password) < MIN_PASSWORD:
            raise ConfigError(
                f"The page's password has {len(password)} characters: use at least {MIN_PASSWORD}."
            )
        # A new key at each start: a restart signs everyone out.
        self._key = secrets.token_bytes(32)
        self._signer = _SteadySigner(self._key, now_s)
        self._password_hash = self._hash(password)
        self._sessions: TTLCache[str, bool] = TTLCache(MAX_SESSIONS, LIFETIME_S, timer=now_s)

    def cookie_for(self, password: str) -> str | None:
        """Return a cookie's value, None for a wrong password."""
        if not hmac.compare_digest(self._hash(password), self._password_hash):
            return None
        session = secrets.token_hex(16)
        self._sessions[session] = True
        return self._signer.sign(session).decode()

    def accepts(self, cookie: str) -> bool:
        """Return whether this process made the cookie, and it is neither expired nor signed out."""
        return self._session(cookie) in self._sessions

    def sign_out(self, cookie: str) -> None:
        """End the cookie's session."""
        self._sessions.pop(self._session(cookie), None)

    def device_of(self, cookie: str) -> str | None:
        """Return a name of the device that signed in once with this cookie, None for another's."""
        return self._session(cookie) or None

    def _session(self, cookie: str) -> str:
        """Return the id of a cookie's session, or an empty text."""
        if len(cookie) > MAX_COOKIE:
            return ""
        try:
            return self._signer.unsign(cookie, max_age=LIFETIME_S).decode()
        except (BadData, UnicodeError):  # UnicodeError: bytes that are not text
            return ""

    def _hash(self, password: str) -> bytes:
        # JSON can name half a character: it is a wrong password like any other.
        return hmac.digest(self._key, password.encode(errors="surrogatepass"), "sha256")


class PasswordQueue:
    """Slows guessing down without keeping the owner out: a correct password is always checked.

    Each source (an address, or a device that signed in before) has free tries of its own. Who used
    them up waits for a turn, one after the other, and so does everyone new while many guess.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._now_s = now_s
        self._sleep = sleep
        self._sources: LRUCache[str, _PasswordSource] = LRUCache(MAX_SOURCES)
        self._all = _Bucket(MAX_WRONG, GUESSES_PER_S, now_s())

    async def wait(self, source: str, *, known: bool) -> None:
        """Wait until a password of this source may be checked; raises TooManyTriesError.

        `known`: the source is a device that signed in before. Only its own tries slow it down.
        """
        own = self._sources.get(source)
        if own is None:
            own = self._sources[source] = _PasswordSource(self._now_s())
        if own.waiting >= MAX_WAITING:
            raise TooManyTriesError
        own.waiting += 1
        try:
            async with own.turn:
                now_s = self._now_s()
                if own.tries.left(now_s) < 1 or (not known and self._all.left(now_s) < 1):
                    await self._sleep(TURN_S)
        finally:
            own.waiting -= 1

    def was_wrong(self, source: str) -> None:
        """Note that this source sent a wrong password."""
        now_s = self._now_s()
        self._all.use(now_s)
        if (own := self._sources.get(source)) is not None:
            own.tries.use(now_s)


class _Bucket:
    """Tries that come back with time (a token bucket)."""

    def __init__(self, size: int, per_s: float, now_s: float) -> None:
        self._size = float(size)
        self._per_s = per_s
        self._left = self._size
        self._refilled_s = now_s

    def left(self, now_s: float) -> float:
        refilled = self._left + (now_s - self._refilled_s) * self._per_s
        self._left = min(refilled, self._size)
        self._refilled_s = now_s
        return self._left

    def use(self, now_s: float) -> None:
        self._left = max(self.left(now_s) - 1, 0.0)


class _PasswordSource:
    """Who tries passwords."""

    def __init__(self, now_s: float) -> None:
        self.tries = _Bucket(FREE_TRIES, 1, now_s)
        self.turn = asyncio.Lock()
        self.waiting = 0


class _SteadySigner(TimestampSigner):
    """Signs with the seconds of a steady clock: setting the device's clock ends no session."""

    def __init__(self, key: bytes, now_s: Callable[[], float]) -> None:
        super().__init__(key, salt=COOKIE, digest_method=hashlib.sha256)
        self._now_s = now_s

    def get_timestamp(self) -> int:
        """Return the steady clock's seconds."""
        return int(self._now_s())
