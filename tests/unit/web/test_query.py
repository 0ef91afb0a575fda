from datetime import UTC, datetime, timedelta, timezone

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from web.problems import ProblemError
from web.query import (
    parse_camera_id,
    parse_flag,
    parse_fraction,
    parse_int,
    parse_path_number,
    parse_run_id,
    parse_time,
    parse_time_range,
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("1795369409123", 1_795_369_409_123),
        ("2026-11-22T17:43:29.123Z", 1_795_369_409_123),
        ("2026-11-22t17:43:29.123z", 1_795_369_409_123),
        ("2026-11-22T18:43:29.123+01:00", 1_795_369_409_123),
        ("2026-11-22T18:43:29.123 01:00", 1_795_369_409_123),  # a plus sign that was not escaped
        ("2026-11-22T12:13:29-05:30", 1_795_369_409_000),
        ("2026-11-22 17:43:29Z", 1_795_369_409_000),
        ("2026-11-22T17:43:29.123456Z", 1_795_369_409_123),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert parse_time(text, "at") == ms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-11-22T17:43:29", "no time zone"),
        ("2026-11-22", "not a time"),
        ("2026-02-30T00:00:00Z", "not a time"),
        ("yesterday", "not a time"),
        ("", "not a time"),
        ("-5", "not a time"),
        ("1e9", "not a time"),
        ("١٧٩", "not a time"),
        ("1969-12-31T23:59:59Z", "out of range"),
        ("999999999999999", "out of range"),
    ],
)
def test_invalid_times(text: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as caught:
        parse_time(text, "from")
    assert caught.value.status == 400
    assert caught.value.detail.startswith("from: ")


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_time_is_the_same_in_every_zone(moment: datetime, offset_min: int) -> None:
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1_000 * 1_000)
    there = moment.astimezone(timezone(timedelta(minutes=offset_min)))
    ms = round(moment.timestamp() * 1_000)
    assert parse_time(there.isoformat(), "at") == ms
    assert parse_time(str(ms), "at") == ms


def asked(query: str):
    return make_mocked_request("GET", f"/?{query}")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "from: missing"),
        ("from=5&to=4", "must be before"),
        ("from=5&to=5", "must be before"),
        ("from=5", "must be before"),  # `to` is now
        ("from=0&to=86400001", "at most 24 h"),
        ("from=0&to=31536000000000", "at most 24 h"),
        ("from=0&to=x", "to: 'x' is not a time"),
    ],
)
def test_invalid_ranges(query: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        parse_time_range(asked(query), 5, longest_ms=86_400_000)


def test_ranges() -> None:
    found = parse_time_range(asked("from=1&to=86400001"), 5, longest_ms=86_400_000)
    assert (found.from_ms, found.to_ms) == (1, 86_400_001)
    assert parse_time_range(asked("from=1"), 5, longest_ms=10).to_ms == 5


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "2001", "9999999999", "x", ""])
def test_numbers_refused(text: str) -> None:
    with pytest.raises(ProblemError, match="whole number from 1 to 2000"):
        parse_int(asked(f"buckets={text}"), "buckets", 600, 1, 2_000)


def test_numbers() -> None:
    assert parse_int(asked(""), "n", 600, 1, 2_000) == 600
    assert parse_int(asked("n=2000"), "n", 600, 1, 2_000) == 2_000
    assert parse_fraction(asked("s=0.25"), "s", 0.0) == 0.25
    assert parse_fraction(asked(""), "s", 0.5) == 0.5
    assert parse_flag(asked("live=1"), "live")
    assert not parse_flag(asked("live=0"), "live")
    for text in ("1.1", "nan", "-0", "inf", "0,5"):
        with pytest.raises(ProblemError):
            parse_fraction(asked(f"s={text}"), "s", 0.0)
    with pytest.raises(ProblemError):
        parse_flag(asked("live=yes"), "live")


def test_paths_that_nothing_can_have_are_not_found() -> None:
    assert parse_camera_id({"tenant": "a", "site": "b", "camera": "c"}) == "a/b/c"
    for act in (
        lambda: parse_camera_id({"tenant": "A", "site": "b", "camera": "c"}),
        lambda: parse_run_id("../../etc"),
        lambda: parse_path_number("100000000"),
        lambda: parse_path_number("-1"),
    ):
        with pytest.raises(ProblemError) as caught:
            act()
        assert caught.value.status == 404
