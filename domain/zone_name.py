"""Names of time zones in configuration files."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _check_known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a known time zone: use a name such as Europe/Berlin"
        ) from None
    return name


ZoneName = Annotated[str, AfterValidator(_check_known)]
