"""When a device may install: maintenance windows by the clock of the site.

    02:00–04:00, summer time begins   01:59 ► 03:00       open for one hour
                 winter time begins   02:59 ► 02:00       open for three hours

The window is about the time on the wall, because that is what was agreed with the site: nothing
begins outside of it. A window that lies in the hour which is left out is not open that night.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from domain.site_file.model import WEEKDAYS, MaintenanceWindow

NEEDED_MIN = 15
"""An install begins only while the window stays open that long: switch, health gate, return."""
_MINUTE_MS = 60_000


def is_open(window: MaintenanceWindow | None, zone: str, now_ms: int) -> bool:
    """Return whether the window is open at this moment. None: it is always open."""
    if window is None:
        return True
    local = datetime.fromtimestamp(now_ms / 1_000, UTC).astimezone(ZoneInfo(zone))
    wall = local.replace(tzinfo=None)
    for day in (wall.date(), wall.date() - timedelta(days=1)):
        if WEEKDAYS[day.weekday()] not in window.days:
            continue
        begin = datetime.combine(day, window.begin)
        if begin <= wall < begin + timedelta(minutes=window.minutes):
            return True
    return False


def may_begin(window: MaintenanceWindow | None, zone: str, now_ms: int) -> bool:
    """Return whether an install may begin now: it has NEEDED_MIN minutes to end in."""
    return window is None or all(
        is_open(window, zone, now_ms + minute * _MINUTE_MS) for minute in range(NEEDED_MIN)
    )


def window_text(window: MaintenanceWindow, zone: str) -> str:
    """Return a window in words, such as "mon-sun 02:00-04:00 Europe/Berlin"."""
    days = "each day" if len(window.days) == len(WEEKDAYS) else ", ".join(window.days)
    return f"{days} {window.begin:%H:%M}-{window.end:%H:%M} {zone}"
