"""The id of a request: in its answer, in problems, log lines, the audit log, and in traces.

    load balancer ──► X-Request-Id, traceparent or X-Amzn-Trace-Id, in one of the forms below
    anyone else   ──► a new id: 16 random bytes

Only a trusted proxy's header counts (VIGIL_TRUSTED_PROXIES). A proxy may pass on what its client
sent: so an id is plain hex digits, and nothing relies on its being unique or secret.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from multidict import CIMultiDictProxy

from streams.request_context import answering

HEADER = "X-Request-Id"
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
_GIVEN = re.compile(r"[0-9a-f]{16,32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
"""W3C Trace Context. Of a later version, what follows after a dash is left out."""
_AMAZON = re.compile(r"(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:$|;)")
"""Of an Application Load Balancer; its own log has it too."""


def request_id(request: web.Request) -> str:
    """Return the request's id, the same at each call."""
    found = request.get(REQUEST_ID)
    if found is None:
        found = request[REQUEST_ID] = new_id()
    return found


def new_id() -> str:
    """Return a new id: 32 hex digits, as the id of a trace."""
    return secrets.token_hex(16)


def given_id(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the id that a proxy gave, from the first header with a valid one; None: there is none.

    A header that comes twice is not valid.
    """
    if (text := _single(headers, HEADER)) is not None and _GIVEN.fullmatch(text.lower()):
        return text.lower()
    if (text := _single(headers, "traceparent")) is not None:
        version, found = text[:2], _TRACEPARENT.match(text)
        if (
            found is not None
            and (len(text) == found.end() or (version != "00" and text[found.end()] == "-"))
            and found[1].strip("0")
            and found[2].strip("0")
        ):
            return found[1]
    root = _AMAZON.search(_single(headers, "X-Amzn-Trace-Id") or "")
    return None if root is None else root[1] + root[2]


def _single(headers: CIMultiDictProxy[str], name: str) -> str | None:
    found = headers.getall(name, [])
    return found[0] if len(found) == 1 else None


@contextmanager
def numbered(request: web.Request, *, trusted: bool) -> Iterator[str]:
    """Give the request its id, for its log lines too. `trusted`: a proxy of ours sent it."""
    found = (given_id(request.headers) if trusted else None) or new_id()
    request[REQUEST_ID] = found
    with answering(found):
        yield found


async def add_id(request: web.Request, response: web.StreamResponse) -> None:
    """Add the id to the answer that is prepared."""
    response.headers[HEADER] = request_id(request)
