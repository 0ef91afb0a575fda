from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from web.bodies import parse_query
from web.problems import ProblemError
from web.query import (
    parse_camera_id,
    parse_path_number,
    parse_run_id,
    parse_time,
)
from web.schemas.base import ApiQuery
from web.schemas.parameters import Flag, Fraction, RangeQuery, whole_number


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
        parse_query(asked(query), RangeQuery).span(5, 86_400_000)


def test_ranges() -> None:
    found = parse_query(asked("from=1&to=86400001"), RangeQuery).span(5, 86_400_000)
    assert (found.from_ms, found.to_ms) == (1, 86_400_001)
    assert parse_query(asked("from=1"), RangeQuery).span(5, 10).to_ms == 5


class ExampleQuery(ApiQuery):
    buckets: Annotated[int, *whole_number(1, 2_000)] = 600
    score: Fraction = 0.5
    live: Flag = False
    label: tuple[str, ...] = Field((), max_length=2)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "2001", "9999999999", "x", ""])
def test_numbers_refused(text: str) -> None:
    with pytest.raises(ProblemError, match="whole number from 1 to 2000"):
        parse_query(asked(f"buckets={text}"), ExampleQuery)


def test_numbers() -> None:
    found = parse_query(asked(""), ExampleQuery)
    assert (found.buckets, found.score, found.live, found.label) == (600, 0.5, False, ())
    found = parse_query(
        asked("buckets=2000&score=0.25&live=1&label=a&label=b&unknown=1"), ExampleQuery
    )
    assert (found.buckets, found.score, found.live, found.label) == (2_000, 0.25, True, ("a", "b"))
    assert not parse_query(asked("live=0"), ExampleQuery).live
    for text in ("1.1", "nan", "-0", "inf", "0,5"):
        with pytest.raises(ProblemError, match=r"score: .* is not a number from 0 to 1"):
            parse_query(asked(f"score={text}"), ExampleQuery)
    with pytest.raises(ProblemError, match="live: use 1 or 0, not 'yes'"):
        parse_query(asked("live=yes"), ExampleQuery)
    with pytest.raises(ProblemError, match="label: "):
        parse_query(asked("label=a&label=b&label=c"), ExampleQuery)


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
