"""The page's addresses. Everything but the empty page itself asks for the cookie."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from importlib import resources
from typing import Any, ParamSpec, TypeVar

from aiohttp import web

from domain.errors import MediaError
from domain.times import utc_ms
from edge_bridge.page.access import COOKIE, LIFETIME_S, PageAccess, TooManyTriesError
from edge_bridge.page.footage import MOST_PLAY_MS, SpoolFootage, StoredFragment

P = ParamSpec("P")
T = TypeVar("T")

_FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/player.js": ("player.js", "text/javascript"),
    "/text.js": ("text.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ANSWER_WITHIN_S = 5.0
_PICTURES_KEPT = 256
_WIDTH = 640
_PLAYERS = 8
"""Stretches played at once; one more is refused, for the disk belongs to recording."""
_DAY_MS = 86_400_000


class Page:
    """Serves the page for these cameras (tenant/site/camera)."""

    def __init__(
        self,
        access: PageAccess,
        footage: SpoolFootage,
        cameras: Callable[[], Collection[str]],
        report: Callable[[], dict[str, Any]],
        *,
        secure: bool,
    ) -> None:
        """`report` tells the device's state; `secure`: the page is served by HTTPS."""
        self._access, self._footage = access, footage
        self._cameras, self._report, self._secure = cameras, report, secure
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")
        self._players = ThreadPoolExecutor(max_workers=_PLAYERS, thread_name_prefix="play")
        self._playing = 0
        self._pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def add_to(self, app: web.Application) -> None:
        """Add the page's addresses to an application."""
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_post("/session", self._sign_in)
        app.router.add_delete("/session", self._sign_out)
        app.router.add_get("/api/state", self._state)
        camera = "/api/cameras/{tenant}/{site}/{camera}"
        app.router.add_get(camera + "/picture.jpg", self._picture)
        app.router.add_get(camera + "/spans", self._spans)
        app.router.add_get(camera + "/stretch", self._stretch)
        app.router.add_get(camera + "/play.mp4", self._play)

    def close(self) -> None:
        """Let the threads go; one that hangs on the disk is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._players.shutdown(wait=False, cancel_futures=True)

    # -- signing in

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        text = resources.files(__package__).joinpath(name).read_text()
        return web.Response(text=text, content_type=kind, headers=_HEADERS)

    async def _sign_in(self, request: web.Request) -> web.Response:
        try:
            said = await request.json()
            password = said["password"]
            if not isinstance(password, str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            return _problem(HTTPStatus.BAD_REQUEST, 'Send {"password": "…"} as JSON.')
        try:
            cookie = self._access.cookie_for(password)
        except TooManyTriesError:
            return _problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many tries: wait a few seconds.")
        if cookie is None:
            return _problem(HTTPStatus.UNAUTHORIZED, "This is not the password.")
        answer = web.Response(status=HTTPStatus.NO_CONTENT)
        answer.set_cookie(
            COOKIE, cookie, max_age=LIFETIME_S, httponly=True, samesite="Strict",
            secure=self._secure,
        )  # fmt: skip
        return answer

    async def _sign_out(self, _: web.Request) -> web.Response:
        answer = web.Response(status=HTTPStatus.NO_CONTENT)
        answer.del_cookie(COOKIE, httponly=True, samesite="Strict", secure=self._secure)
        return answer

    def _check(self, request: web.Request) -> None:
        if not self._access.accepts(request.cookies.get(COOKIE, "")):
            raise web.HTTPUnauthorized(text="Sign in first.")

    def _camera(self, request: web.Request) -> str:
        self._check(request)
        camera = "/".join(request.match_info[part] for part in ("tenant", "site", "camera"))
        if camera not in self._cameras():
            raise web.HTTPNotFound(text=f"No camera {camera} here.")
        return camera

    # -- what is seen

    async def _state(self, request: web.Request) -> web.Response:
        self._check(request)
        state = self._report() | {"now_ms": utc_ms()}
        return web.json_response(state, headers={"Cache-Control": "no-store"})

    async def _picture(self, request: web.Request) -> web.Response:
        camera = self._camera(request)
        held = await self._asked(self._footage.newest, camera)
        if held is None:
            return _problem(HTTPStatus.NOT_FOUND, "Nothing is recorded yet.")
        tag = f'"{held.run}-{held.seq}"'
        headers = {
            "ETag": tag,
            "Cache-Control": "private, no-cache",
            "Vigil-Picture-Ms": str(held.start_ms),
        }
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        picture = self._pictures.get((held.run, held.seq))
        if picture is None:
            picture = await self._asked(self._footage.picture, held, _WIDTH)
            self._pictures[held.run, held.seq] = picture
            while len(self._pictures) > _PICTURES_KEPT:
                self._pictures.popitem(last=False)
        return web.Response(body=picture, content_type="image/jpeg", headers=headers)

    async def _spans(self, request: web.Request) -> web.Response:
        camera = self._camera(request)
        now_ms = utc_ms()
        to_ms = _whole(request, "to", now_ms)
        from_ms = _whole(request, "from", to_ms - _DAY_MS)
        spans = await self._asked(self._footage.spans, camera, from_ms, to_ms)
        return web.json_response({"from_ms": from_ms, "to_ms": to_ms, "spans": spans})

    async def _stretch(self, request: web.Request) -> web.Response:
        """Say what play.mp4 with the same query begins and ends with: a script sees no headers
        of what a video element fetches.
        """
        stretch = await self._wanted(request)
        if not stretch:
            return _problem(HTTPStatus.NOT_FOUND, "Nothing is held from then on.")
        said = {"start_ms": stretch[0].start_ms, "end_ms": stretch[-1].end_ms}
        return web.json_response(said, headers={"Cache-Control": "no-store"})

    async def _wanted(self, request: web.Request) -> list[StoredFragment]:
        camera = self._camera(request)
        at_ms = _whole(request, "at", None)
        for_ms = _whole(request, "for_s", 60) * 1_000
        if not 0 < for_ms <= MOST_PLAY_MS:
            raise web.HTTPBadRequest(text="for_s: 1 to 600 seconds.")
        return await self._asked(self._footage.stretch, camera, at_ms, for_ms)

    async def _play(self, request: web.Request) -> web.StreamResponse:
        stretch = await self._wanted(request)
        if not stretch:
            return _problem(HTTPStatus.NOT_FOUND, "Nothing is held from then on.")
        if self._playing >= _PLAYERS:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many play already: try again.")
        self._playing += 1
        try:
            return await self._streamed(request, stretch)
        finally:
            self._playing -= 1

    async def _streamed(
        self, request: web.Request, stretch: list[StoredFragment]
    ) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        parts = self._footage.play(stretch)
        answer = web.StreamResponse(
            headers={
                "Content-Type": "video/mp4",
                "Cache-Control": "no-store",
                "Vigil-Start-Ms": str(stretch[0].start_ms),
                "Vigil-End-Ms": str(stretch[-1].end_ms),
            }
        )
        try:
            first = await loop.run_in_executor(self._players, _next, parts)
        except MediaError as error:
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        await answer.prepare(request)
        part = first
        while part is not None:
            await answer.write(part)
            try:
                part = await loop.run_in_executor(self._players, _next, parts)
            except MediaError:
                break  # what was sent stays playable
        await answer.write_eof()
        return answer

    async def _asked(self, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the page's thread; 503 where the disk does not answer."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await loop.run_in_executor(self._thread, lambda: ask(*args, **kwargs))
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text="The spool's disk does not answer.") from None
        except MediaError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error


def _next(parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)


def _whole(request: web.Request, name: str, default: int | None) -> int:
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    try:
        value = int(text or "")
    except ValueError:
        raise web.HTTPBadRequest(text=f"{name}: give a whole number.") from None
    if not 0 <= value < 1 << 48:
        raise web.HTTPBadRequest(text=f"{name}: out of range.")
    return value


def _problem(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, text=text)
