"""Cross-origin requests (CORS): which other sites' pages may use the API. None by default.

Such a page sends a key as `Authorization`. Cookies are never allowed: `SameSite=Strict` keeps the
session's from being sent, and no answer says Access-Control-Allow-Credentials.
"""

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from domain.errors import ConfigError
from web.types import Handler

METHODS = "GET, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, "
    "Last-Event-ID, Range"
)
ANSWER_HEADERS = (
    "Accept-Ranges, Content-Range, Deprecation, ETag, Idempotency-Replayed, Link, Location, "
    "Retry-After, Sunset, Vigil-Picture-Ms, X-Request-Id"
)
MAX_AGE_S = 600
MAX_ORIGINS = 50
_HOST = re.compile(r"[a-z0-9.-]+(?::\d{1,5})?|\[[0-9a-f:]+\](?::\d{1,5})?")


class AllowedOrigins:
    """The origins whose pages may use the API."""

    def __init__(self, origins: str) -> None:
        """`origins`: comma-separated. Raises ConfigError for what is not an origin."""
        given = [each.strip() for each in origins.split(",")]
        self._origins = frozenset(filter(None, given))
        if len(self._origins) > MAX_ORIGINS:
            raise ConfigError(f"VIGIL_CORS_ORIGINS: at most {MAX_ORIGINS} origins.")
        for origin in self._origins:
            _check(origin)

    def allowed(self, request: web.Request) -> str | None:
        """Return the origin of a request to the API where it is allowed; None: it is not."""
        origin = request.headers.get("Origin")
        is_api = request.path.startswith("/api/")
        return origin if is_api and origin in self._origins else None

    def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page of an allowed origin read the response."""
        if not self._origins or not request.path.startswith("/api/"):
            return
        vary = response.headers.get("Vary")
        response.headers["Vary"] = f"{vary}, Origin" if vary else "Origin"
        if (origin := self.allowed(request)) is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS

    @web.middleware
    async def answer_preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the question of a browser whether a page may send a request."""
        asked = "Access-Control-Request-Method" in request.headers
        if request.method != "OPTIONS" or not asked or self.allowed(request) is None:
            return await handler(request)
        return web.Response(
            status=HTTPStatus.NO_CONTENT,
            headers={
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": REQUEST_HEADERS,
                "Access-Control-Max-Age": str(MAX_AGE_S),
            },
        )


def _check(origin: str) -> None:
    parts = urlsplit(origin)
    whole = f"{parts.scheme}://{parts.netloc}"
    if (
        parts.scheme not in {"http", "https"}
        or not _HOST.fullmatch(parts.netloc)
        or whole != origin
    ):
        raise ConfigError(
            f"VIGIL_CORS_ORIGINS: {origin!r} is not an origin. Write each as a browser sends it: "
            "https://portal.example.com, in lower case, without a path. `*` is not supported."
        )
