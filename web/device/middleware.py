"""Who asks at the devices' address: the client's certificate, checked against the catalog.

TLS has checked the signature and the dates of the certificate. Here: is the device known, and is
this its key and its newest generation?
"""

import logging
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.http_exceptions import HttpProcessingError

from domain.errors import ConflictError, InvalidEventError, InvalidIdError, StoreError
from stores.device_certificate import CertificateError, DeviceCertificate
from web.device.services import DEVICE_SERVICES
from web.middleware import REQUESTS, SECONDS
from web.problems import ProblemError, problem_response
from web.request_id import numbered
from web.types import Handler


@dataclass(frozen=True, slots=True)
class AuthenticatedDevice:
    """A device that proved who it is by its certificate."""

    id: str
    """tenant/site/device."""
    generation: int
    key: str
    """Id of its key."""

    @property
    def site(self) -> str:
        """tenant/site."""
        return self.id.rsplit("/", 1)[0]

    @property
    def tenant(self) -> str:
        """The tenant."""
        return self.id.split("/", 1)[0]


DEVICE: web.RequestKey[AuthenticatedDevice] = web.RequestKey("device", AuthenticatedDevice)
"""Who sends a request, where its route needs a certificate."""
OPEN_PATHS = frozenset(
    ("/healthz", "/readyz", "/device/v1/enrol", "/device/v1/renew", "/device/v1/time")
)
"""Paths that need no certificate."""

_KINDS = ("locked", "revoked", "unknown", "generation")

log = logging.getLogger("web.device.access")


@web.middleware
async def report_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Number the request, turn every error into a problem response; count and log it."""
    with numbered(request, trusted=False):  # devices connect without a proxy
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
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        REQUESTS.labels(request.method, route, str(status)).inc()
        SECONDS.labels(route).observe(seconds)
        device = request.get(DEVICE)
        log.info(
            "%s %s %d %.0f ms from %s",
            request.method,
            request.rel_url.raw_path[:200],
            status,
            seconds * 1_000,
            device.id if device is not None else request.remote,
        )


async def _handle(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as problem:
        return problem_response(problem)
    except ConflictError as error:
        return problem_response(ProblemError(HTTPStatus.CONFLICT, str(error)))
    except (InvalidEventError, InvalidIdError, HttpProcessingError, UnicodeError) as error:
        log.info("%s %s: not understood: %s", request.method, request.path, error)
        detail = "The request holds something that cannot be read or stored."
        return problem_response(ProblemError(HTTPStatus.BAD_REQUEST, detail))
    except web.HTTPException as error:
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return problem_response(ProblemError(error.status, f"{error.reason}.", headers))
    except StoreError as error:
        log.error("%s %s: %s", request.method, request.path, error)
        detail = "The catalog does not answer. Try again."
        wait = {"Retry-After": "2"}
        return problem_response(ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, wait))
    except (ConnectionResetError, ClientConnectionResetError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        detail = "Internal error. The server's log has the details."
        return problem_response(ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail))


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Require a valid certificate, but for the open paths."""
    if request.path not in OPEN_PATHS:
        request[DEVICE] = await identify(request)
    return await handler(request)


async def identify(request: web.Request) -> AuthenticatedDevice:
    """Return the device of a request; ProblemError (401, 403). A long answer asks again."""
    certificate = _certificate(request)
    if certificate is None:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED, "Show the certificate of a device: enrol it first."
        )
    registry = request.app[DEVICE_SERVICES].registry
    refusal = await registry.refusal(certificate.device, certificate.key, certificate.generation)
    if refusal is not None:
        kind = f"device-{refusal.code}" if refusal.code in _KINDS else None
        raise ProblemError(HTTPStatus.FORBIDDEN, f"{refusal}.", kind=kind)
    return AuthenticatedDevice(certificate.device, certificate.generation, certificate.key)


def _certificate(request: web.Request) -> DeviceCertificate | None:
    """Return the certificate that TLS has checked; None: there is none."""
    connection = request.get_extra_info("ssl_object")
    if not isinstance(connection, ssl.SSLObject | ssl.SSLSocket):
        return None
    der = connection.getpeercert(binary_form=True)
    if not der:
        return None
    try:
        return DeviceCertificate.from_der(der)
    except CertificateError as error:
        raise ProblemError(HTTPStatus.FORBIDDEN, f"{str(error).capitalize()}.") from None
