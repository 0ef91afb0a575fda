"""The page's HTTP addresses. All but the empty page itself require the cookie."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from importlib import resources
from typing import Any, ParamSpec, TypeVar

from aiohttp import web
from cachetools import LRUCache

from domain.errors import MediaError
from domain.times import utc_ms
from edge_bridge.http_errors import problem, read_body
from edge_bridge.page.access import (
    COOKIE,
    LIFETIME_S,
    PageAccess,
    PasswordQueue,
    TooManyTriesError,
)
from edge_bridge.page.footage import MAX_CLIP_MS, SpoolFootage, StoredFragment
from edge_bridge.page.live import LiveViewers, Watch
from stores.http_server import network_of

P = ParamSpec("P")
T = TypeVar("T")

_FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/player.js": ("player.js", "text/javascript"),
    "/live.js": ("live.js", "text/javascript"),
    "/text.js": ("text.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
DEVICE_COOKIE = "vigil_edge_device"
"""Names a device that signed in before, also after it signed out: its tries wait for no others."""
_DISK_TIMEOUT_S = 5.0
_CACHED_THUMBNAILS = 256
_WIDTH = 640
_MAX_PLAYERS = 8
"""Concurrency limit: clips played at once. One more is rejected: recording needs the disk."""
_DAY_MS = 86_400_000


class Page:
    """Serves the page for these cameras (tenant/site/camera)."""

    def __init__(
        self,
        access: PageAccess,
        footage: SpoolFootage,
        cameras: Callable[[], Collection[str]],
        report: Callable[[], dict[str, Any]],
        watch: Watch,
        *,
        secure: bool,
    ) -> None:
        """`report` returns the device's state; `secure`: the page is served by HTTPS."""
        self._access = access
        self._footage = footage
        self._cameras = cameras
        self._report = report
        self._live = LiveViewers(watch)
        self._secure = secure
        # Browsers take such cookies from no other host, and from no plain HTTP.
        self._cookie = f"__Host-{COOKIE}" if secure else COOKIE
        self._device_cookie = f"__Secure-{DEVICE_COOKIE}" if secure else DEVICE_COOKIE
        self._passwords = PasswordQueue(time.monotonic)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")
        self._players = ThreadPoolExecutor(max_workers=_MAX_PLAYERS, thread_name_prefix="play")
        self._playing = 0
        self._thumbnails: LRUCache[tuple[str, int], bytes] = LRUCache(maxsize=_CACHED_THUMBNAILS)

    def add_to(self, app: web.Application) -> None:
        """Add the page's addresses to an application."""
        for path in _FILES:
            app.router.add_get(path, self._get_file)
        app.router.add_post("/session", self._sign_in)
        app.router.add_delete("/session", self._sign_out)
        app.router.add_get("/api/state", self._get_state)
        camera = "/api/cameras/{tenant}/{site}/{camera}"
        app.router.add_get(camera + "/picture.jpg", self._get_picture)
        app.router.add_get(camera + "/spans", self._get_spans)
        app.router.add_get(camera + "/stretch", self._get_stretch)
        app.router.add_get(camera + "/play.mp4", self._get_mp4)
        app.router.add_get(camera + "/live", self._get_live)
        app.on_shutdown.append(self._end_live)

    def close(self) -> None:
        """Shut the threads down; does not wait for one that hangs on the disk."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._players.shutdown(wait=False, cancel_futures=True)

    # -- signing in

    async def _get_file(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        text = resources.files(__package__).joinpath(name).read_text()
        return web.Response(text=text, content_type=kind, headers=_HEADERS)

    async def _sign_in(self, request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return _problem(HTTPStatus.FORBIDDEN, "Sign in on this device's own page.")
        password = _password(await read_body(request))
        if password is None:
            return _problem(HTTPStatus.BAD_REQUEST, 'Send {"password": "…"} as JSON.')
        device = self._access.device_of(request.cookies.get(self._device_cookie, ""))
        source = device or network_of(request.remote or "")
        try:
            await self._passwords.wait(source, known=device is not None)
        except TooManyTriesError:
            return _problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many passwords are waiting. Try again in a few seconds.",
                {"Retry-After": "2"},
            )
        cookie = self._access.cookie_for(password)
        if cookie is None:
            self._passwords.was_wrong(source)
            return _problem(HTTPStatus.UNAUTHORIZED, "Wrong password.")
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.set_cookie(
            self._device_cookie,
            cookie,
            max_age=LIFETIME_S,
            path="/session",
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )
        response.set_cookie(
            self._cookie,
            cookie,
            max_age=LIFETIME_S,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        self._access.sign_out(request.cookies.get(self._cookie, ""))
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(self._cookie, httponly=True, samesite="Strict", secure=self._secure)
        return response

    def _require_session(self, request: web.Request) -> None:
        if not self._access.accepts(request.cookies.get(self._cookie, "")):
            raise web.HTTPUnauthorized(text="Sign in first.")

    def _camera_of(self, request: web.Request) -> str:
        """Return the camera of the path; 401 without a session, 404 for an unknown camera."""
        self._require_session(request)
        camera = "/".join(request.match_info[part] for part in ("tenant", "site", "camera"))
        if camera not in self._cameras():
            raise web.HTTPNotFound(text=f"This device has no camera {camera}.")
        return camera

    # -- state and footage

    async def _get_state(self, request: web.Request) -> web.Response:
        self._require_session(request)
        state = self._report() | {"now_ms": utc_ms()}
        return web.json_response(state, headers={"Cache-Control": "no-store"})

    async def _get_picture(self, request: web.Request) -> web.Response:
        camera = self._camera_of(request)
        newest = await self._in_thread(self._footage.newest, camera)
        if newest is None:
            return _problem(HTTPStatus.NOT_FOUND, "Nothing is recorded yet.")
        tag = f'"{newest.run}-{newest.seq}"'
        headers = {
            "ETag": tag,
            "Cache-Control": "private, no-cache",
            "Vigil-Picture-Ms": str(newest.start_ms),
        }
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        thumbnail = self._thumbnails.get((newest.run, newest.seq))
        if thumbnail is None:
            thumbnail = await self._in_thread(self._footage.thumbnail, newest, _WIDTH)
            self._thumbnails[newest.run, newest.seq] = thumbnail
        return web.Response(body=thumbnail, content_type="image/jpeg", headers=headers)

    async def _get_spans(self, request: web.Request) -> web.Response:
        camera = self._camera_of(request)
        to_ms = _integer(request, "to", utc_ms())
        from_ms = _integer(request, "from", to_ms - _DAY_MS)
        spans = await self._in_thread(self._footage.spans, camera, from_ms, to_ms)
        return web.json_response({"from_ms": from_ms, "to_ms": to_ms, "spans": spans})

    async def _get_stretch(self, request: web.Request) -> web.Response:
        """Return start and end of what play.mp4 plays for the same query.

        A script cannot read the headers of what a video element fetches.
        """
        clip = await self._requested_clip(request)
        if not clip:
            return _problem(HTTPStatus.NOT_FOUND, "No footage from this time on.")
        body = {"start_ms": clip[0].start_ms, "end_ms": clip[-1].end_ms}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def _requested_clip(self, request: web.Request) -> list[StoredFragment]:
        camera = self._camera_of(request)
        at_ms = _integer(request, "at", None)
        for_ms = _integer(request, "for_s", 60) * 1_000
        if not 0 < for_ms <= MAX_CLIP_MS:
            raise web.HTTPBadRequest(text="for_s must be 1 to 600 seconds.")
        return await self._in_thread(self._footage.clip, camera, at_ms, for_ms)

    async def _get_mp4(self, request: web.Request) -> web.StreamResponse:
        clip = await self._requested_clip(request)
        if not clip:
            return _problem(HTTPStatus.NOT_FOUND, "No footage from this time on.")
        if self._playing >= _MAX_PLAYERS:
            return _problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{_MAX_PLAYERS} clips are playing already. Close one, or try again later.",
            )
        self._playing += 1
        try:
            return await self._stream(request, clip)
        finally:
            self._playing -= 1

    async def _get_live(self, request: web.Request) -> web.StreamResponse:
        camera = self._camera_of(request)
        cookie = request.cookies.get(self._cookie, "")
        return await self._live.show(request, camera, lambda: self._access.accepts(cookie))

    async def _end_live(self, _: web.Application) -> None:
        await self._live.close()

    async def _stream(self, request: web.Request, clip: list[StoredFragment]) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        parts = self._footage.play(clip)
        response = web.StreamResponse(
            headers={
                "Content-Type": "video/mp4",
                "Cache-Control": "no-store",
                "Vigil-Start-Ms": str(clip[0].start_ms),
                "Vigil-End-Ms": str(clip[-1].end_ms),
            }
        )
        try:
            first = await loop.run_in_executor(self._players, _next, parts)
        except MediaError as error:
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        await response.prepare(request)
        part = first
        while part is not None:
            await response.write(part)
            try:
                part = await loop.run_in_executor(self._players, _next, parts)
            except MediaError:
                break  # what was sent stays playable
        await response.write_eof()
        return response

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work on the page's thread; 503 where the disk does not answer."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_DISK_TIMEOUT_S):
                return await loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text="The spool's disk does not answer.") from None
        except MediaError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error


def _next(parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)


def _integer(request: web.Request, name: str, default: int | None) -> int:
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    if not re.fullmatch(r"[0-9]{1,15}", text or ""):
        raise web.HTTPBadRequest(text=f"{name} must be a whole number.")
    value = int(text or "")
    if value >= 1 << 48:
        raise web.HTTPBadRequest(text=f"{name} is out of range.")
    return value


def _problem(status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return problem(status, text, headers)


def _password(body: bytes) -> str | None:
    try:
        password = json.loads(body)["password"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return password if isinstance(password, str) else None
