"""Errors of the local HTTP port, as problem details (RFC 9457), never a stack trace."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from stores.http_server import PROBLEM_TYPE, problem_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_BODY_BYTES = 4_096
BODY_S = 15.0
SERVER_NAME = "vigil-edge"
log = logging.getLogger(__name__)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error response; `detail` says what is wrong and what to do."""
    return web.Response(
        status=status,
        body=problem_body(status, detail),
        content_type=PROBLEM_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


@web.middleware
async def report_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem response."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allow = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return problem(error.status, error.text or error.reason, allow)
    except (HttpProcessingError, RequestPayloadError, web.PayloadAccessError, UnicodeError):
        return problem(HTTPStatus.BAD_REQUEST, "The request cannot be read.")
    except ConnectionError:
        raise
    except Exception as error:
        # One line: a stranger who finds such a request must not fill the disk with traces.
        log.error("%s %s failed: %r", request.method, request.path[:100], error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error. See the edge's log.")


async def read_body(request: web.Request) -> bytes:
    """Return the whole body, at most MAX_BODY_BYTES; otherwise raise an HTTP error."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for block in request.content.iter_any():
                body += block
                if len(body) > MAX_BODY_BYTES:
                    raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The body did not arrive in time.") from None
    return bytes(body)


async def hide_server(_: web.Request, response: web.StreamResponse) -> None:
    """Send no versions of the software."""
    response.headers["Server"] = SERVER_NAME


def is_server_fault(record: logging.LogRecord) -> bool:
    """Say whether aiohttp reports more than a request that cannot be read: a stranger's fault."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | RequestPayloadError)


def install(app: web.Application) -> None:
    """Install all of this on an application, before its routes."""
    app.middlewares.append(report_errors)
    app.on_response_prepare.append(hide_server)
    logging.getLogger("aiohttp.server").addFilter(is_server_fault)
