"""The middleware of all views: authentication, error responses, headers, access log, metrics."""

import contextlib
import logging
import time
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from prometheus_client import Counter, Histogram

from domain.access import INSTALLATION, scopes_with
from domain.caller import Caller
from domain.errors import (
    ConfigError,
    ConflictError,
    InvalidEventError,
    InvalidIdError,
    ObjectMissingError,
    StoreError,
)
from domain.preconditions import StaleVersionError
from stores.catalog.keys import ApiKey
from stores.catalog.web_catalog import all_tenants, visible_tenants
from stores.http_server import network_of
from streams.metrics import REGISTRY
from streams.settings import Settings
from web import principal
from web.access import (
    PUBLIC,
    AccessTable,
    RouteAccess,
    access_of,
    authorize,
    path_resource,
    require_second_factor,
    tenants_for,
)
from web.audit import READS, note_read, note_refusal
from web.conditional import stale_problem
from web.cookies import cookie_name
from web.cors import AllowedOrigins
from web.problems import ProblemError, problem_response
from web.query import check_query
from web.request_id import add_id, numbered
from web.services import SERVICES
from web.types import Handler
from web.unsafe_requests import BodyTypes, check_unsafe

PRINCIPAL = principal.PRINCIPAL

SERVER_NAME = "vigil"
ACCESS: web.AppKey[AccessTable] = web.AppKey("access", dict)
BODY_TYPES: web.AppKey[BodyTypes] = web.AppKey("body-types", dict)
PAGES_PATH = "/{path:.*}"
PAGES_PATTERN = "/{path}"
SESSION_PATH = "/api/v1/session"
EDGE_CONFIG_PATH = "/api/v1/sites/{tenant}/{site}/config"
"""The configuration that an edge reads."""

log = logging.getLogger("web.access")
REQUESTS = Counter(
    "vigil_http_requests",
    "Requests answered",
    ("method", "route", "status"),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "vigil_http_seconds",
    "From a request's headers to the end of its response",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)


@web.middleware
async def report_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Number the request, turn every error into a problem response; count and log it.

    The log never contains the query or the key.
    """
    trusted = request.app[SERVICES].proxies.trusts(request.remote or "")
    with numbered(request, trusted=trusted):
        return await _report_errors(request, handler)


async def _report_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    began = time.monotonic()
    status = HTTPStatus.INTERNAL_SERVER_ERROR.value
    try:
        response = await _handle(request, handler)
        status = response.status
        return response
    except (ConnectionResetError, ClientConnectionResetError):
        status = 499  # the client has closed the connection
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
            request.app[SERVICES].proxies.client_of(request),
        )


async def _handle(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        check_query(request)
        with _counted(request):
            return await handler(request)
    except ProblemError as problem:
        return problem_response(problem)
    except ConflictError as error:
        return problem_response(ProblemError(HTTPStatus.CONFLICT, str(error)))
    except StaleVersionError as error:
        return problem_response(stale_problem(error))
    except (InvalidEventError, InvalidIdError, HttpProcessingError, UnicodeError) as error:
        log.info("%s %s: not understood: %s", request.method, request.path, error)
        detail = "The request holds something that cannot be read or stored."
        return problem_response(ProblemError(HTTPStatus.BAD_REQUEST, detail))
    except web.HTTPException as error:
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return problem_response(ProblemError(error.status, _sentence(error), headers))
    except ObjectMissingError as error:
        detail = (
            f"{error} The catalog has this footage, but the object store does not. Retention may "
            "be deleting it now. Otherwise `vigil fsck --repair` restores it from its fragments."
        )
        return problem_response(ProblemError(HTTPStatus.NOT_FOUND, detail))
    except StoreError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        detail = "The catalog or the object store does not answer. Try again."
        status, wait = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "2"}
        return problem_response(ProblemError(status, detail, wait))
    except (ConnectionResetError, ClientConnectionResetError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        detail = "Internal error. The server's log has the details."
        return problem_response(ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail))


@contextlib.contextmanager
def _counted(request: web.Request) -> Iterator[None]:
    """Count a client's request while it is answered; raise ProblemError (503) at too many.

    The connections of a trusted proxy are those of many clients: its requests are counted instead.
    """
    services = request.app[SERVICES]
    client = network_of(services.proxies.client_of(request))
    if services.clients[client] >= services.settings.connections_per_address:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Too many requests of this address are being answered. Try again.",
            {"Retry-After": "2"},
        )
    services.clients[client] += 1
    try:
        yield
    finally:
        services.clients[client] -= 1
        if not services.clients[client]:
            del services.clients[client]


def _is_server_fault(record: logging.LogRecord) -> bool:
    """Say whether aiohttp reports more than a request that cannot be read: a stranger's fault."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | RequestPayloadError)


def _sentence(error: web.HTTPException) -> str:
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return "This address does not support that method."
    if error.status == HTTPStatus.NOT_FOUND:
        return "There is nothing at this address."
    return f"{error.reason}."


def _route(request: web.Request) -> str:
    """Return the pattern of the path: metrics by pattern are few."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Require a valid key or session, and the permission of the route. See web/access.py."""
    pattern = _route(request)
    check_unsafe(
        request,
        https=request.app[SERVICES].proxies.is_https(request),
        more_types=request.app[BODY_TYPES].get(pattern, ()),
    )
    access = access_of(request.app[ACCESS], pattern, request.method)
    # The pages' pattern matches unknown addresses of the API: strangers learn nothing of them.
    if access != PUBLIC or (pattern == PAGES_PATTERN and request.path.startswith("/api/")):
        try:
            caller = await identify(request)
        except ProblemError as problem:
            if "Authorization" in request.headers:  # not where an old cookie is all
                note_refusal(request, "key:use", INSTALLATION, problem.status)
            raise
        request[PRINCIPAL] = caller
        await request.app[SERVICES].bounds.admit_slowly(caller.id)
        require_second_factor(caller, access)
        _authorize(request, caller, access)
        with visible_tenants(tenants_for(caller.principal, access)):
            try:
                if access.permission in READS:
                    return await _read(request, handler, caller, access)
                return await handler(request)
            except ProblemError as problem:  # for what only the body names
                if problem.status == HTTPStatus.FORBIDDEN:
                    act = str(access.permission or "request:send")
                    note_refusal(request, act, path_resource(access, request), problem.status)
                raise
    return await handler(request)


def _authorize(request: web.Request, caller: Caller, access: RouteAccess) -> None:
    """Raise ProblemError where a caller may not; the audit log has it."""
    try:
        authorize(caller.principal, access, request)
    except ProblemError as problem:
        if access.permission is not None:
            note_refusal(
                request, str(access.permission), path_resource(access, request), problem.status
            )
        raise


async def _read(
    request: web.Request, handler: Handler, caller: Caller, access: RouteAccess
) -> web.StreamResponse:
    """Answer a request that reads. The audit log has it unless nothing was sent."""
    sent = True
    try:
        response = await handler(request)
        sent = response.status < HTTPStatus.BAD_REQUEST
        return response
    except (ProblemError, web.HTTPException, StoreError):
        sent = False
        raise
    finally:  # also where the client hangs up in the middle
        if sent and access.permission is not None:
            scopes = scopes_with(caller.principal, access.permission)
            for resource in scopes if access.on == "list" else (path_resource(access, request),):
                note_read(request, access.permission, resource)


async def is_still_allowed(request: web.Request) -> str | None:
    """Return None while the caller may do what he began, else why not: a long response asks this.

    Raises StoreError where that cannot be checked now.
    """
    before = request[PRINCIPAL].principal
    try:
        with all_tenants():
            caller = await identify(request)
        now, access = caller.principal, access_of(request.app[ACCESS], _route(request), "GET")
        require_second_factor(caller, access)
        authorize(now, access, request)
    except ProblemError as problem:
        return "signed-out" if problem.status == HTTPStatus.UNAUTHORIZED else "not-allowed"
    return None if now == before else "rights-changed"


def check_client(request: web.Request, key: ApiKey) -> None:
    """Raise ProblemError (403) where a key may not be used from the client's address."""
    client = request.app[SERVICES].proxies.client_of(request)
    if not key.allows_client(client):
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f"This key may not be used from the address {client}."
        )


async def identify(request: web.Request) -> Caller:
    """Return who sends a request; raise ProblemError (401, 403). Long answers ask again."""
    services = request.app[SERVICES]
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    with all_tenants():  # whose rows it may see is not known yet
        if kind.lower() == "bearer":
            key = await services.sessions.of_key(await services.catalog.get(), given.strip())
            if key is not None:
                check_client(request, key)
                return key.caller()
        elif not kind and (cookie := request.cookies.get(cookie_name(request))):
            catalog = await services.catalog.get()
            session = await services.sessions.of_cookie(catalog, cookie)
            if session is not None and services.oidc_checks.is_due(session):
                await services.oidc_checks.confirm(catalog, session)
                session = await services.sessions.of_cookie(catalog, cookie, again=True)
            if session is not None:
                if session.key is not None:
                    check_client(request, session.key)
                return session.caller
    raise ProblemError(
        HTTPStatus.UNAUTHORIZED,
        "Sign in, or send a valid key as `Authorization: Bearer KEY`.",
        {"WWW-Authenticate": 'Bearer realm="vigil"'},
    )


def security_headers(settings: Settings) -> dict[str, str]:
    """Return the headers of every response."""
    store_origin = ""
    if settings.media_delivery == "redirect":
        store_origin = (
            f" {_origin(settings.s3_endpoint)}"
            if settings.s3_endpoint
            else f" {_bucket_origin(settings)}"
        )
    policy = {
        "default-src": "'self'",
        "script-src": "'self'",
        # hls.js needs blobs for its worker and its media. Presigned URLs are on another host.
        "worker-src": "'self' blob:",
        "media-src": f"'self' blob:{store_origin}",
        "connect-src": f"'self'{store_origin}",
        "img-src": "'self' blob: data:",
        "style-src": "'self' 'unsafe-inline'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Server": SERVER_NAME,
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _bucket_origin(settings: Settings) -> str:
    """Return the origins of this bucket's presigned URLs: no other bucket may be sent to."""
    bucket, region = settings.s3_bucket, settings.aws_region
    if "." in bucket:  # such names are in the path: a certificate covers no further dots
        return f"https://s3.{region}.amazonaws.com"
    return f"https://{bucket}.s3.amazonaws.com https://{bucket}.s3.{region}.amazonaws.com"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        raise ConfigError(f"VIGIL_S3_ENDPOINT {url!r} is not a URL. Use http(s)://host:port.")
    return f"{parts.scheme}://{parts.netloc}"


def install(
    application: web.Application, settings: Settings, access: AccessTable, types: BodyTypes
) -> None:
    """Install the middleware and the headers on an application."""
    application[ACCESS] = access
    application[BODY_TYPES] = types
    fixed = security_headers(settings)
    hsts = "max-age=31536000" + ("; includeSubDomains" if settings.hsts_subdomains else "")

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in fixed.items():
            response.headers[name] = value
        if request.app[SERVICES].proxies.is_https(request):
            response.headers.setdefault("Strict-Transport-Security", hsts)

    logging.getLogger("aiohttp.server").addFilter(_is_server_fault)
    origins = AllowedOrigins(settings.cors_origins)

    async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
        origins.add_headers(request, response)

    application.on_response_prepare.append(add_cors_headers)
    application.middlewares.append(report_errors)
    application.middlewares.append(origins.answer_preflight)
    application.middlewares.append(authenticate)
    application.on_response_prepare.append(add_headers)
    application.on_response_prepare.append(add_id)
