"""Whether the clock is kept: what the kernel's answer means, and the real call."""

import ctypes
import struct

import pytest

from edge_bridge.clock_sync import UNSYNCHRONISED_US, ClockSync, clock_sync, interpret

TIME_OK, TIME_INS, TIME_ERROR = 0, 1, 5
LOST = ClockSync("unsynchronised")


@pytest.mark.parametrize(
    ("answer", "maxerror_us", "means"),
    [
        # chrony with rtcsync, systemd-timesyncd, ntpd
        (TIME_OK, 33_001, ClockSync("synchronised", 34)),
        (TIME_OK, 0, ClockSync("synchronised", 0)),
        (TIME_INS, 500, ClockSync("synchronised", 1)),
        # chrony without rtcsync leaves STA_UNSYNC set, and with it TIME_ERROR
        (TIME_ERROR, 17_288, ClockSync("synchronised", 18)),
        # the last word of NTP is almost 9 hours old, then older
        (TIME_OK, UNSYNCHRONISED_US - 1, ClockSync("synchronised", 16_000)),
        (TIME_OK, UNSYNCHRONISED_US, LOST),
        # no NTP since the start, or the clock was set by hand
        (TIME_ERROR, UNSYNCHRONISED_US, LOST),
        (TIME_ERROR, 1 << 40, LOST),
        # refused (an old seccomp profile), or rubbish
        (-1, 0, ClockSync("unknown")),
        (-1, UNSYNCHRONISED_US, ClockSync("unknown")),
        (TIME_OK, -1, ClockSync("unknown")),
    ],
)
def test_what_the_kernel_s_answer_means(answer: int, maxerror_us: int, means: ClockSync) -> None:
    assert interpret(answer, maxerror_us) == means


def test_this_kernel_is_asked_as_the_headers_say() -> None:
    # sys/timex.h: modes, offset, freq, maxerror, esterror, status, constant, precision, tolerance
    about = ctypes.create_string_buffer(512)
    answer = ctypes.CDLL(None).adjtimex(about)
    _, _, _, maxerror_us, _, _, _, _, tolerance = struct.unpack_from("@Illllilll", about)
    found = clock_sync()
    assert found.state == interpret(answer, maxerror_us).state
    if answer >= 0:
        assert tolerance == 500 << 16, "500 ppm, on every Linux: the fields lie where they should"
        assert found.state != "unknown"


def test_without_the_call_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLinux:
        def __init__(self, _: object) -> None: ...

    monkeypatch.setattr(ctypes, "CDLL", NoLinux)
    assert clock_sync() == ClockSync("unknown")
