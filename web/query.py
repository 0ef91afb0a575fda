"""Parse the texts of queries and paths. Invalid ones are a 400, in a path a 404.

web/schemas/parameters.py makes types of query parameters of these.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from domain.errors import InvalidIdError
from domain.identity import MAX_SEQ, check_camera, check_run, check_site
from web.problems import ProblemError, bad_request, not_found

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LONGEST_DAY_MS = 25 * HOUR_MS
"""A local day is this long when clocks are set back."""
MAX_MS = 1 << 48
BODY_S = 15.0
_BODY: web.RequestKey[bytes] = web.RequestKey("body", bytes)
INVALID = "invalid-parameter"
"""The kind of the problems with a query."""

_NOT_TEXT = re.compile("[\\0\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?P<zone>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def check_site_filter(site: str | None) -> None:
    """Raise a 400 where the parameter `site` is given and is not tenant/site."""
    if site is None:
        return
    try:
        check_site(site)
    except InvalidIdError as error:
        raise bad_request(f"site: {error}", INVALID) from None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of time, [from_ms, to_ms) in UTC ms."""

    from_ms: int
    to_ms: int


def parse_time(text: str, name: str) -> int:
    """Return a time as UTC ms: whole milliseconds, or RFC 3339 with its zone."""
    if re.fullmatch(r"[0-9]{1,15}", text):
        value = int(text)
    else:
        # A plus sign that was not escaped arrives as a space.
        written = re.sub(r" ([0-9]{2}:[0-9]{2})$", r"+\1", text)
        match = _RFC3339.fullmatch(written)
        if match is None:
            raise bad_request(
                f"{name}: {text[:60]!r} is not a time. Use milliseconds since 1970 (UTC) or "
                "RFC 3339 with a zone, such as 2026-03-01T12:00:00Z.",
                INVALID,
            )
        if match["zone"] is None:
            raise bad_request(
                f"{name}: {text[:60]!r} has no time zone. Add Z or an offset such as +01:00.",
                INVALID,
            )
        try:
            moment = datetime.fromisoformat(written.upper())
        except ValueError as error:
            raise bad_request(f"{name}: {text[:60]!r} is not a time: {error}.", INVALID) from None
        value = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= value < MAX_MS:
        raise bad_request(f"{name}: {text[:60]!r} is out of range.", INVALID)
    return value


def time_range(from_ms: int, to_ms: int, longest_ms: int) -> TimeRange:
    """Return the range; raise ProblemError (400) where it is empty or too long."""
    if from_ms >= to_ms:
        raise bad_request(f"from ({from_ms}) must be before to ({to_ms}).", INVALID)
    if to_ms - from_ms > longest_ms:
        raise bad_request(
            f"The range is {(to_ms - from_ms) / HOUR_MS:.1f} h long. Request at most "
            f"{longest_ms // HOUR_MS} h at once.",
            INVALID,
        )
    return TimeRange(from_ms, to_ms)


def parse_whole(text: str, name: str, low: int, high: int) -> int:
    """Return a whole number within low..high."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise bad_request(
            f"{name}: {text[:60]!r} is not a whole number from {low} to {high}.", INVALID
        )
    return int(text)


def parse_fraction(text: str, name: str) -> float:
    """Return a number from 0 to 1."""
    if not re.fullmatch(r"[0-9](\.[0-9]{0,15})?", text) or float(text) > 1:
        raise bad_request(f"{name}: {text[:60]!r} is not a number from 0 to 1.", INVALID)
    return float(text)


def parse_decimal(text: str, name: str, low: float, high: float) -> float:
    """Return a decimal number within low..high; an exponent is allowed, as JSON writes it."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", text) or not (
        low <= float(text) <= high
    ):
        raise bad_request(
            f"{name}: {text[:60]!r} is not a number from {low:g} to {high:g}.", INVALID
        )
    return float(text)


def parse_flag(text: str, name: str) -> bool:
    """Return whether the text is 1; 0: False."""
    if text not in {"0", "1"}:
        raise bad_request(f"{name}: use 1 or 0, not {text[:60]!r}.", INVALID)
    return text == "1"


def parse_camera_id(path: Mapping[str, str]) -> str:
    """Return the camera id of a path's tenant, site and camera; 404 for an impossible id."""
    try:
        return check_camera("{tenant}/{site}/{camera}".format(**path))
    except InvalidIdError as error:
        raise not_found(str(error)) from None


def parse_run_id(run: str) -> str:
    """Return the run's id; 404 for an impossible id."""
    try:
        return check_run(run)
    except InvalidIdError as error:
        raise not_found(str(error)) from None


def parse_path_number(text: str, high: int = MAX_SEQ) -> int:
    """Return a whole number of a path; 404 where it is not one."""
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) > high:
        raise not_found(f"Nothing here has the number {text[:60]!r}.")
    return int(text)


def is_storable(text: object) -> bool:
    """Say whether it is a text that UTF-8 and PostgreSQL can hold: no NUL, no lone surrogate."""
    return isinstance(text, str) and not _NOT_TEXT.search(text)


def check_query(request: web.Request) -> None:
    """Raise ProblemError (400) where a query parameter holds what no text can."""
    for name, value in request.query.items():
        if not is_storable(name) or not is_storable(value):
            raise bad_request(
                "The query holds a character that is not text. Use UTF-8, no NUL.", INVALID
            )


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """Return the whole body, however many segments it arrives in; 400: unreadable or too long.

    It can be called again: the body is remembered.
    """
    if (known := request.get(_BODY)) is not None:
        if len(known) > max_bytes:
            raise bad_request(f"The body is too long: send at most {max_bytes} bytes.")
        return known
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for block in request.content.iter_any():
                body += block
                if len(body) > max_bytes:
                    raise bad_request(f"The body is too long: send at most {max_bytes} bytes.")
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {BODY_S:.0f} s."
        ) from None
    except (web.PayloadAccessError, HttpProcessingError, RequestPayloadError) as error:
        raise bad_request("The body cannot be read: check its encoding.") from error
    request[_BODY] = bytes(body)
    return request[_BODY]
