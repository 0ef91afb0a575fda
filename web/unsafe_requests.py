"""The check of each request that can change something: where it comes from, and its body's type.

A browser sends a session's cookie along with the request of any page. Such a page must be our own.
A key in `Authorization` is sent by programs, or by pages that CORS allows.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from web.access import canonical
from web.problems import ProblemError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

BodyTypes = Mapping[str, tuple[str, ...]]
"""By the pattern of the path: the types of body that a route takes besides JSON."""


def body_types(views: Iterable[type[Any]]) -> BodyTypes:
    """Return the `body_types` that views declare."""
    return {canonical(each.view_path): vars(each).get("body_types", ()) for each in views}


def check_unsafe(request: web.Request, *, https: bool, more_types: tuple[str, ...] = ()) -> None:
    """Raise ProblemError: 403 for a page of another site, 415 for a body that is not JSON."""
    if request.method in SAFE_METHODS:
        return
    if "Authorization" not in request.headers:
        check_same_origin(request, https=https)
    if request.body_exists and request.can_read_body:
        _check_body_type(request, more_types)


def check_same_origin(request: web.Request, *, https: bool) -> None:
    """Raise ProblemError (403) where a page of another site sends a request, by a browser."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_ours = site in {"same-origin", "none"}
    else:
        # A browser too old for Sec-Fetch-Site still sends Origin with what changes something, and
        # any browser with a WebSocket.
        origin = request.headers.get("Origin")
        is_ours = origin is None or _is_own(origin, request.host, https=https)
    if not is_ours:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "Do this on this server's own page. Programs send a key as `Authorization: Bearer "
            "KEY`, and no cookie.",
        )


def _is_own(origin: str, host: str, *, https: bool) -> bool:
    parts = urlsplit(origin)
    return parts.netloc.lower() == host.lower() and (parts.scheme == "https" or not https)


def _check_body_type(request: web.Request, more_types: tuple[str, ...]) -> None:
    given = request.content_type.lower() if "Content-Type" in request.headers else ""
    is_json = given == "application/json" or (
        given.startswith("application/") and given.endswith("+json")
    )
    if not is_json and given not in more_types:
        wanted = ", ".join(("application/json", *more_types))
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send the body with `Content-Type: {wanted}`.",
            {"Accept": wanted},
        )
    charset = request.charset
    if is_json and charset is not None and charset.lower() not in {"utf-8", "utf8"}:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is UTF-8: send no other charset."
        )
