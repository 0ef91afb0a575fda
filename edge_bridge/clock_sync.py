"""Whether this device's clock is synchronised, as the kernel reports it: adjtimex(2).

Every time daemon reports it this way: chrony, systemd-timesyncd, ntpd, PTP. Reading it needs no
rights. It also works in a container, which shares the host's clock.
"""

import ctypes
from dataclasses import dataclass

from domain.events.edge import ClockState

UNSYNCHRONISED_US = 16_000_000
"""The kernel's NTP_PHASE_LIMIT: from this maximum error on, the clock is not synchronised.

The kernel reports it after a start, after the clock was set by hand, and 9 hours after the last
correction.
"""


@dataclass(frozen=True, slots=True)
class ClockSync:
    """The state of synchronisation."""

    state: ClockState
    error_ms: int | None = None
    """The maximum error, as the time daemon estimates it; None if not synchronised."""


class _Timex(ctypes.Structure):
    """The first fields of struct timex; `modes` 0 changes nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # µs
        ("rest", ctypes.c_char * 512),  # larger than in any version of the struct
    )


def interpret(result: int, maxerror_us: int) -> ClockSync:
    """Return what the result of adjtimex and its maximum error mean.

    result    maximum error
    -1        -                unknown
    other     below 16 s       synchronised
    other     16 s             not synchronised

    The flag STA_UNSYNC, and the result TIME_ERROR that follows from it, do not count. Without
    `rtcsync`, chrony leaves the flag set so that the kernel does not write the battery's clock.
    """
    if result < 0 or maxerror_us < 0:
        return ClockSync("unknown")
    if maxerror_us >= UNSYNCHRONISED_US:
        return ClockSync("unsynchronised")
    return ClockSync("synchronised", -(-maxerror_us // 1_000))


def clock_sync() -> ClockSync:
    """Read the state from the kernel; "unknown" if it does not say. Never waits."""
    timex = _Timex()
    try:
        result = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):  # not Linux
        return ClockSync("unknown")
    return interpret(result, timex.maxerror)
