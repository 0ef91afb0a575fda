"""Whether anybody keeps this device's clock, as the kernel tells it: adjtimex(2).

It is told alike by whatever sets the clock (chrony, systemd-timesyncd, ntpd, PTP), without rights,
and also in a container, which has the host's clock.
"""

import ctypes
from dataclasses import dataclass

from domain.events.edge import ClockState

LOST_US = 16_000_000
"""The kernel's NTP_PHASE_LIMIT: at start, once the clock was set by hand, and 9 hours after it was
last disciplined, the error may be as large as this, and nobody keeps the clock."""


@dataclass(frozen=True, slots=True)
class ClockSync:
    """How the clock is kept."""

    state: ClockState
    error_ms: int | None = None
    """The most that it is wrong by, as who keeps it reckons; None where it is not kept."""


class _Timex(ctypes.Structure):
    """The beginning of struct timex; `modes` 0 changes nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # µs
        ("rest", ctypes.c_char * 512),  # more than any of its versions has
    )


def judged(answer: int, maxerror_us: int) -> ClockSync:
    """Return what adjtimex's answer and its largest error say.

    answer    largest error
    -1        -                the kernel does not say
    other     below 16 s       kept
    other     16 s             kept by nobody

    The flag STA_UNSYNC, and with it the answer TIME_ERROR, counts for nothing by itself: chrony
    leaves it set where it has no `rtcsync`, so that the kernel leaves the battery's clock alone.
    """
    if answer < 0 or maxerror_us < 0:
        return ClockSync("unknown")
    if maxerror_us >= LOST_US:
        return ClockSync("unsynchronised")
    return ClockSync("synchronised", -(-maxerror_us // 1_000))


def clock_sync() -> ClockSync:
    """Ask the kernel; "unknown" where it may not be asked. Never waits."""
    about = _Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(about))
    except (OSError, AttributeError):  # no Linux
        return ClockSync("unknown")
    return judged(answer, about.maxerror)
