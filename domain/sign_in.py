"""Rules of signing in: logins, passwords, and how many attempts are allowed.

    attempt from a device that signed in before   ──► limit of the device
    any other attempt                             ──► limits of its network and of the account

No account is ever locked. Who attacks one uses up the limit of the account for strangers; its
owner still signs in from a device that is known.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from domain.errors import InvalidTextError

MIN_PASSWORD = 12
MAX_PASSWORD = 128
IDLE_MS = 12 * 3_600_000
"""A session ends when no request used it for this long."""
LIFETIME_MS = 7 * 86_400_000
"""A session ends after this time, even in use."""
SEEN_EVERY_MS = 60_000
"""How exact the time of a session's last request is."""
DEVICE_MS = 180 * 86_400_000
"""How long a browser in which a user signed in is known."""
TOTP_STEP_MS = 30_000
TOTP_DRIFT = 1
"""Steps by which the clock of a phone may differ."""

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """At most `burst` attempts at once; one more is allowed after each `interval_ms`."""

    burst: int
    interval_ms: int


Limited = Literal["network", "account", "device", "code"]
LIMITS: dict[Limited, AttemptLimit] = {
    # One network may be an office: its people's successful attempts are given back.
    "network": AttemptLimit(50, 5_000),
    "account": AttemptLimit(10, 30_000),
    "device": AttemptLimit(10, 30_000),
    # One code of a million is right, for three steps: 5 + 288 a day are a chance of 1 in 1,100.
    "code": AttemptLimit(5, 300_000),
}


def check_login(login: str) -> str:
    """Return a login as it is stored, in lower case; raise InvalidTextError otherwise."""
    lower = login.strip().lower()
    if not _LOGIN.fullmatch(lower):
        raise InvalidTextError(
            "A login has 1 to 100 of the characters a-z, 0-9 and ._@+- and starts with a letter "
            "or a digit."
        )
    return lower


def normal_password(password: str) -> str:
    """Return a password in one form (NFKC), however the keyboard composed its characters."""
    return unicodedata.normalize("NFKC", password)


def password_problem(password: str, login: str) -> str | None:
    """Return why a new password is refused, None where its form is right."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters."
    if re.search("[\\0\ud800-\udfff]", password):
        return "The password holds a character that is not text."
    simple = password.lower()
    if len(set(simple)) < 5:
        return "The password repeats a few characters. Choose another one."
    name = login.partition("@")[0]
    if len(name) >= 4 and len(simple.replace(name, "")) < MIN_PASSWORD // 2:
        return "The password is the login with a few characters. Choose another one."
    return None
