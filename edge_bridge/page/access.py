"""Who may see the page: one password, exchanged for a signed cookie."""

import hashlib
import hmac
import secrets
from collections.abc import Callable

from itsdangerous import BadData, TimestampSigner

from domain.errors import ConfigError

COOKIE = "vigil_edge"
LIFETIME_S = 12 * 3_600
MIN_PASSWORD = 8
MAX_COOKIE = 200
FREE_TRIES = 5
"""Wrong passwords that are answered at once; each further one takes a second (rate limit)."""
_SIGNED = b"signed-in"


class TooManyTriesError(Exception):
    """Someone is guessing passwords: no password is checked for a second."""


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
        self._now_s = now_s
        self._tries_left = float(FREE_TRIES)
        self._refilled_s = now_s()

    def cookie_for(self, password: str) -> str | None:
        """Return a cookie's value, None for a wrong password; raises TooManyTriesError.

        Correct passwords are not counted, but they also wait while someone is guessing.
        """
        now_s = self._now_s()
        self._tries_left = min(self._tries_left + now_s - self._refilled_s, float(FREE_TRIES))
        self._refilled_s = now_s
        if self._tries_left < 1:
            raise TooManyTriesError
        if not hmac.compare_digest(self._hash(password), self._password_hash):
            self._tries_left -= 1
            return None
        return self._signer.sign(_SIGNED).decode()

    def accepts(self, cookie: str) -> bool:
        """Return whether this process made the cookie and it has not expired."""
        if len(cookie) > MAX_COOKIE:
            return False
        try:
            return self._signer.unsign(cookie, max_age=LIFETIME_S) == _SIGNED
        except (BadData, UnicodeError):  # UnicodeError: bytes that are not text
            return False

    def _hash(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(), "sha256")


class _SteadySigner(TimestampSigner):
    """Signs with the seconds of a steady clock: setting the device's clock ends no session."""

    def __init__(self, key: bytes, now_s: Callable[[], float]) -> None:
        super().__init__(key, salt=COOKIE, digest_method=hashlib.sha256)
        self._now_s = now_s

    def get_timestamp(self) -> int:
        """Return the steady clock's seconds."""
        return int(self._now_s())
