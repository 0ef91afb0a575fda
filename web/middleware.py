"""What surrounds every view: who may ask, how errors look, headers, access log, metrics."""

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from prometheus_client import Counter, Histogram

from domain.errors import ConfigError, ObjectMissingError, StoreError
from stores.catalog.keys import ApiKey
from streams.metrics import REGISTRY
from streams.settings import Settings
from web.problems import ProblemError, problem_response
from web.services import SERVICES
from web.sessions import COOKIE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PRINCIPAL: web.RequestKey[ApiKey] = web.RequestKey("who", ApiKey)
"""Whose key or session a request came with."""

PROTECTED_PREFIXES = ("/api/", "/metrics")
SESSION_PATH = "/api/v1/session"
EDGE_CONFIG_PATH = "/api/v1/sites/{tenant}/{site}/config"
"""The one address that answers to keys of edges, and to no other key."""

log = logging.getLogger("web.access")
REQUESTS = Counter(
    "vigil_http_requests",
    "Requests answered",
    ("method", "route", "status"),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "vigil_http_seconds",
    "From a request's headers to the end of its answer",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)


@web.middleware
async def report_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every fault into a problem, count the request and log it: never its query or key."""
    began = time.monotonic()
    status = HTTPStatus.INTERNAL_SERVER_ERROR.value
    try:
        response = await _handle(request, handler)
        status = response.status
        return response
    except (ConnectionResetError, ClientConnectionResetError):
        status = 499  # the client went away; nobody is left to be told
        raise
    finally:
        seconds = time.monotonic() - began
        route = _route(request)
        REQUESTS.labels(request.method, route, str(status)).inc()
        SECONDS.labels(route).observe(seconds)
        log.info(
            "%s %s %d %.0f ms from %s",
            request.method,
            request.rel_url.raw_path[:500],
            status,
            seconds * 1_000,
            request.remote,
        )


async def _handle(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as problem:
        return problem_response(problem)
    except web.HTTPException as error:
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return problem_response(ProblemError(error.status, _sentence(error), headers))
    except ObjectMissingError as error:
        detail = (
            f"{error} The catalog has this footage and the store has not: retention may be "
            "deleting it just now; else `vigil fsck --repair` makes it again from its fragments."
        )
        return problem_response(ProblemError(HTTPStatus.NOT_FOUND, detail))
    except StoreError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        detail = "A store behind this page does not answer just now; try again."
        status, wait = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "2"}
        return problem_response(ProblemError(status, detail, wait))
    except (ConnectionResetError, ClientConnectionResetError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        detail = "This should not have happened; the server's log says more."
        return problem_response(ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail))


def _sentence(error: web.HTTPException) -> str:
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return "That method is not answered here."
    if error.status == HTTPStatus.NOT_FOUND:
        return "There is nothing at this address."
    return f"{error.reason}."


def _route(request: web.Request) -> str:
    """Return the pattern of the address, so that metrics stay few."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let pass who has a valid key or session; everyone, where nothing is guarded."""
    signing = request.path == SESSION_PATH and request.method in {"POST", "DELETE"}
    if request.path.startswith(PROTECTED_PREFIXES) and not signing:
        who = request[PRINCIPAL] = await _principal(request)
        if who.edge_of is not None and _route(request) != EDGE_CONFIG_PATH:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, "This key reads a site's configuration and nothing else."
            )
    return await handler(request)


async def _principal(request: web.Request) -> ApiKey:
    site = request.app[SERVICES]
    now_ms = site.clock_ms()
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    found = None
    if kind:
        if kind.lower() == "bearer":
            found = await site.sessions.of_key(await site.catalog.get(), key.strip(), now_ms)
    elif cookie := request.cookies.get(COOKIE):
        found = await site.sessions.of_cookie(await site.catalog.get(), cookie, now_ms)
    if found is None:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Sign in, or send a valid key as `Authorization: Bearer KEY`.",
            {"WWW-Authenticate": 'Bearer realm="vigil"'},
        )
    return found


def security_headers(settings: Settings) -> dict[str, str]:
    """Return the headers that every answer carries."""
    elsewhere = ""
    if settings.media_delivery == "redirect":
        elsewhere = (
            f" {_origin(settings.s3_endpoint)}"
            if settings.s3_endpoint
            else " https://*.amazonaws.com"
        )
    policy = {
        "default-src": "'self'",
        # hls.js runs its worker from, and plays, blobs; signed addresses lie elsewhere.
        "worker-src": "'self' blob:",
        "media-src": f"'self' blob:{elsewhere}",
        "connect-src": f"'self'{elsewhere}",
        "img-src": "'self' blob: data:",
        "style-src": "'self' 'unsafe-inline'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Server": "vigil",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        raise ConfigError(f"VIGIL_S3_ENDPOINT {url!r} is no address; write http(s)://host:port.")
    return f"{parts.scheme}://{parts.netloc}"


def install(application: web.Application, settings: Settings) -> None:
    """Put the guard round an application's views."""
    fixed = security_headers(settings)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in fixed.items():
            response.headers[name] = value
        if is_https(request):
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")

    application.middlewares.append(report_errors)
    application.middlewares.append(authenticate)
    application.on_response_prepare.append(add_headers)


def is_https(request: web.Request) -> bool:
    """Return whether the browser speaks HTTPS, to us or to the proxy before us."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
