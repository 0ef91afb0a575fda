"""Who may see the page: one password, exchanged for a cookie."""

import hashlib
import hmac
import secrets
from collections.abc import Callable

from domain.errors import ConfigError

COOKIE = "vigil_edge"
LIFETIME_S = 12 * 3_600
MIN_PASSWORD = 8
FREE_TRIES = 5
"""Wrong passwords that are answered at once; each further one takes a second."""


class TooManyTriesError(Exception):
    """Passwords are being guessed: nobody is heard for a second."""


class PageAccess:
    """Checks passwords and cookies. `now_s` is a steady clock in seconds."""

    def __init__(self, password: str, now_s: Callable[[], float]) -> None:
        """Raise ConfigError for a password that is easily guessed."""
        if len(password) < MIN_PASSWORD:
            raise ConfigError(
                f"The page's password has {len(password)} characters: take at least {MIN_PASSWORD}."
            )
        self._key = secrets.token_bytes(32)
        self._password = self._hashed(password)
        self._now_s = now_s
        self._tries = float(FREE_TRIES)
        self._tried_s = now_s()

    def cookie_for(self, password: str) -> str | None:
        """Return a cookie's value, None for a wrong password; raises TooManyTriesError.

        Right ones do not count, but while others guess they wait like everybody.
        """
        now_s = self._now_s()
        self._tries = min(self._tries + now_s - self._tried_s, float(FREE_TRIES))
        self._tried_s = now_s
        if self._tries < 1:
            raise TooManyTriesError
        if not hmac.compare_digest(self._hashed(password), self._password):
            self._tries -= 1
            return None
        until = str(int(now_s + LIFETIME_S))
        return f"{until}.{self._sign(until)}"

    def knows(self, cookie: str) -> bool:
        """Return whether this cookie was made here and is still good."""
        until, _, signature = cookie[:200].partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(until).encode()):
            return False
        return self._now_s() < int(until)

    def _sign(self, until: str) -> str:
        return hmac.new(self._key, until.encode(), hashlib.sha256).hexdigest()

    def _hashed(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(), "sha256")
