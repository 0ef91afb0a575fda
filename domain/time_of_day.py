"""Times of day in configuration files, and slots between two of them."""

import re
from datetime import time as clock_time
from typing import Annotated

from pydantic import BeforeValidator


def _parse_time(value: object) -> object:
    """Parse "08:00", or "08:00:00", which JSON has of it.

    YAML reads an unquoted 18:00 as 1,080: the minutes of the day.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return clock_time(value // 60, value % 60)
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,2}):(\d\d)(?::00)?", value)):
        hour, minute = int(match[1]), int(match[2])
        if (hour, minute) == (24, 0):
            return clock_time(0, 0)
        if hour < 24 and minute < 60:
            return clock_time(hour, minute)
    if isinstance(value, clock_time):
        return value
    raise ValueError('write a time of day such as "08:00"')


TimeOfDay = Annotated[clock_time, BeforeValidator(_parse_time)]
