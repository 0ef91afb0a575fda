"""The cookies that a browser gets: of its session, and of the device it is."""

from aiohttp import web

from domain.sign_in import DEVICE_MS, LIFETIME_MS
from web.services import SERVICES
from web.sessions import COOKIE, HTTPS_COOKIE

DEVICE_COOKIE = "vigil_device"


def cookie_name(request: web.Request) -> str:
    """Return the name of the session's cookie."""
    return HTTPS_COOKIE if _is_https(request) else COOKIE


def set_session_cookie(request: web.Request, response: web.Response, token: str) -> None:
    """Give the browser the cookie of its session."""
    _set(request, response, cookie_name(request), token, LIFETIME_MS)


def delete_session_cookie(request: web.Request, response: web.Response) -> None:
    """Make the browser forget the cookie of its session."""
    response.del_cookie(
        cookie_name(request),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=_is_https(request),
    )


def device_cookie(request: web.Request) -> str | None:
    """Return the cookie by which a user's browser is known, None where it has none."""
    return request.cookies.get(_device_name(request))


def set_device_cookie(request: web.Request, response: web.Response, value: str) -> None:
    """Let the browser be known at the next sign-in."""
    _set(request, response, _device_name(request), value, DEVICE_MS)


def _device_name(request: web.Request) -> str:
    return f"__Host-{DEVICE_COOKIE}" if _is_https(request) else DEVICE_COOKIE


def _set(
    request: web.Request, response: web.Response, name: str, value: str, lifetime_ms: int
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=lifetime_ms // 1_000,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=_is_https(request),
    )


def _is_https(request: web.Request) -> bool:
    return request.app[SERVICES].proxies.is_https(request)
