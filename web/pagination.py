"""Pages of lists: cursors that only this installation makes, bound to one list.

cursor   base64url( first 16 bytes of HMAC-SHA-256(secret, list ‖ place) ‖ place ), place: JSON
list     the path of the request: the cursor of another list, or of another camera, is a 400
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aiohttp import web

from web.problems import ProblemError, bad_request
from web.schemas.pages import MAX_CURSOR, PageQuery
from web.services import SERVICES

_TAG_BYTES = 16

Item = TypeVar("Item")
Place = tuple[int | str, ...]
"""What a list is ordered by: the values of the last entry of a page."""


def encode_cursor(request: web.Request, place: Place) -> str:
    """Return the cursor of the page after `place`."""
    text = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(request, text) + text).rstrip(b"=").decode()


def parse_cursor(request: web.Request, query: PageQuery, *kinds: type[Any]) -> Place | None:
    """Return the place of the query's cursor, None without one; raise ProblemError (400).

    `kinds`: int or str, for each value of the place.
    """
    cursor = query.cursor
    if cursor is None:
        return None
    if len(cursor) > MAX_CURSOR or not cursor.isascii():
        raise _invalid()
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    tag, text = data[:_TAG_BYTES], data[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(request, text)):
        raise _invalid()
    place: list[Any] = json.loads(text)
    if [type(value) for value in place] != list(kinds):
        raise _invalid()  # of another version
    return tuple(place)


def page_of(
    request: web.Request,
    query: PageQuery,
    items: Sequence[Item],
    place_of: Callable[[Item], Place],
) -> tuple[Sequence[Item], str | None]:
    """Return one page and its `next` of at least `limit` + 1 items that begin after the cursor."""
    if len(items) <= query.limit:
        return items, None
    page = items[: query.limit]
    return page, encode_cursor(request, place_of(page[-1]))


def _tag(request: web.Request, text: bytes) -> bytes:
    secret = request.app[SERVICES].settings.session_secret.get_secret_value().encode()
    message = b"cursor " + request.path.encode() + b"\0" + text
    return hmac.digest(secret, message, "sha256")[:_TAG_BYTES]


def _invalid() -> ProblemError:
    return bad_request("cursor: send the `next` of the previous page, unchanged.", "invalid-cursor")
