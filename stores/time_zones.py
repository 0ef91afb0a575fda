"""Time zones by their IANA name."""

from functools import cache
from zoneinfo import available_timezones

from domain.errors import InvalidTextError

UTC = "UTC"
_NOT_A_PLACE = frozenset({"localtime", "Factory", "posixrules"})
"""Names of files in some zone databases. They mean the server's own zone, or none."""


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NOT_A_PLACE


def check_zone(name: str) -> str:
    """Return the IANA name of a time zone as it is written; raise InvalidTextError otherwise."""
    if name not in _zones():
        raise InvalidTextError(
            f"{name[:60]!r} is not an IANA time zone: write one such as Europe/Berlin or UTC."
        )
    return name
