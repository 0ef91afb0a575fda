"""UTC in whole milliseconds: now, parsing, printing, bounds."""

import time
from datetime import UTC, datetime

from domain.errors import InvalidQueryError

AHEAD_MS = 300_000
"""How far ahead of the cloud's clock the time of an event may be."""


def utc_ms() -> int:
    """Return this computer's UTC now, ms since 1970.

    The one clock of the domain. No rule calls it: rules take the time as an argument, so that a
    test can simulate a day in an instant. Callers outside the domain pass its value, or this
    function itself.
    """
    return time.time_ns() // 1_000_000


def too_far_ahead(at_ms: int, now_ms: int) -> bool:
    """Say whether a time is more than five minutes in the future: its clock is wrong."""
    return at_ms > now_ms + AHEAD_MS


def format_ms(at_ms: int) -> str:
    """Return RFC 3339 in UTC with milliseconds, such as 2026-11-22T17:00:00.250Z."""
    whole, part = divmod(at_ms, 1000)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{part:03d}Z"


def parse_ms(text: str) -> int:
    """Return UTC ms from whole milliseconds or RFC 3339 with a zone.

    Raises InvalidQueryError. A time without a zone is an error, since it is ambiguous.
    """
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidQueryError(
            f"{text!r} is not a time: write milliseconds since 1970 or RFC 3339 with a zone, "
            "such as 2026-11-22T17:00:00Z."
        ) from None
    if at.tzinfo is None:
        raise InvalidQueryError(f"{text!r} has no zone: add Z or an offset such as +01:00.")
    return round(at.timestamp() * 1000)
