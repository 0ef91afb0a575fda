"""Conditional requests (RFC 9110): If-Match on edits, If-None-Match on what is read.

view of an edit   expected = expected_version(request)     428: no If-Match
                  expected.check(row_version)              412, inside the transaction
every JSON GET    gets a strong ETag; 304 where the client has it
"""

import hashlib
import re
from http import HTTPStatus

from aiohttp import web

from domain.preconditions import ExpectedVersion, StaleVersionError
from web.problems import ProblemError, bad_request
from web.types import Handler

CODINGS = ("gzip", "zstd")
"""A compressed body is another representation: its tag ends with the coding, as Apache's does."""
MAX_TAGS = 20
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_KEPT_ON_304 = ("ETag", "Cache-Control", "Vary", "Expires", "Content-Location")


def etag_of(tag: str) -> str:
    """Return the strong ETag of a version's tag."""
    return f'"{tag}"'


def expected_version(request: web.Request, *, may_create: bool = False) -> ExpectedVersion:
    """Return which version an edit may replace; 428 where the client does not say.

    With `may_create`, `If-None-Match: *` says that it must not exist yet.
    """
    absent = request.headers.get("If-None-Match", "").strip() == "*"
    if may_create and absent:
        return ExpectedVersion(None, absent=True)
    header = request.headers.get("If-Match")
    if header is None:
        hint = " To create it, send `If-None-Match: *`." if may_create else ""
        raise ProblemError(
            HTTPStatus.PRECONDITION_REQUIRED,
            f"Send If-Match with the ETag of what you read: no one's change is lost then.{hint}",
        )
    if header.strip() == "*":
        return ExpectedVersion(None)
    # A weak tag never matches here: it does not say that all is the same.
    return ExpectedVersion(frozenset(tag for weak, tag in _tags(header, "If-Match") if not weak))


def stale_problem(error: StaleVersionError) -> ProblemError:
    """Return the problem (412) that says what it is now, and who changed it when."""
    current = error.current
    if current is None:
        return ProblemError(HTTPStatus.PRECONDITION_FAILED, str(error))
    known = {
        "etag": etag_of(current.tag),
        "changed_ms": current.changed_ms,
        "changed_by": current.changed_by,
        "current": None if current.current is None else dict(current.current),
    }
    members = {name: value for name, value in known.items() if value is not None}
    headers = {"ETag": etag_of(current.tag)}
    return ProblemError(HTTPStatus.PRECONDITION_FAILED, str(error), headers, members=members)


@web.middleware
async def answer_not_modified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give JSON an ETag, and answer 304 where the client has these very bytes."""
    response = await handler(request)
    if (
        request.method not in {"GET", "HEAD"}
        or not isinstance(response, web.Response)
        or response.status != HTTPStatus.OK
        or response.content_type != "application/json"
        or not request.path.startswith("/api/")
    ):
        return response
    if "ETag" not in response.headers:
        if not isinstance(response.body, bytes):
            return response
        response.headers["ETag"] = etag_of(hashlib.sha256(response.body).hexdigest()[:32])
    known = matching_tag(request, response.headers["ETag"])
    if known is None:
        return response
    headers = {name: response.headers[name] for name in _KEPT_ON_304 if name in response.headers}
    return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={**headers, "ETag": known})


def matching_tag(request: web.Request, etag: str) -> str | None:
    """Return the ETag of If-None-Match that names this one, compressed or not; None: none does."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return None
    if header.strip() == "*":
        return etag
    wanted = etag.removeprefix("W/").strip('"')
    for each in _TAG.finditer(header[:4_000]):
        if _without_coding(each[2]) == wanted:
            return each[0]
    return None


def _tags(header: str, name: str) -> list[tuple[bool, str]]:
    """Return (is weak, tag) of each ETag in a header; 400 where it is not a list of them."""
    parts = [each.strip() for each in header.split(",")]
    found = [_TAG.fullmatch(each) for each in parts]
    if len(parts) > MAX_TAGS or None in found:
        raise bad_request(f'{name}: send the ETag as you got it, with its quotes, such as "1a2b".')
    return [(each[1] is not None, _without_coding(each[2])) for each in found if each is not None]


def _without_coding(tag: str) -> str:
    for coding in CODINGS:
        tag = tag.removesuffix(f"-{coding}")
    return tag
