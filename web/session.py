"""/api/v1/session: a key is exchanged for a cookie that scripts in the page cannot read."""

import json
from http import HTTPStatus
from typing import Any

from aiohttp import web
from faust.web import View

from web.middleware import PRINCIPAL, SESSION_PATH, is_https
from web.problems import ProblemError, bad_request
from web.services import SERVICES
from web.sessions import COOKIE, LIFETIME_MS

MAX_BODY = 4_096


class SessionView(View):
    """Sign in, ask who is signed in, sign out."""

    view_path = SESSION_PATH

    async def get(self, request: web.Request) -> web.Response:
        """Return whose session it is."""
        return web.json_response(
            {"name": request[PRINCIPAL].name}, headers={"Cache-Control": "no-store"}
        )

    async def post(self, request: web.Request) -> web.Response:
        """Exchange {"key": "…"} for a cookie; 401: it is not valid, 403: it is an edge's."""
        site = request.app[SERVICES]
        now_ms = site.clock_ms()
        given = _key(await request.content.read(MAX_BODY + 1))
        key = await site.sessions.of_key(await site.catalog.get(), given, now_ms)
        if key is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "This key is not valid, or was revoked.")
        if key.edge_of is not None:
            raise ProblemError(HTTPStatus.FORBIDDEN, "This is an edge's key: it opens no session.")
        response = web.Response(status=HTTPStatus.NO_CONTENT, headers={"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            site.sessions.cookie_for(key, now_ms),
            max_age=LIFETIME_MS // 1_000,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=is_https(request),
        )
        return response

    async def delete(self, _request: web.Request) -> web.Response:
        """Forget the cookie."""
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return response


def _key(body: bytes) -> str:
    try:
        said: Any = json.loads(body) if len(body) <= MAX_BODY else None
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("key"), str):
        raise bad_request('Send {"key": "…"} as JSON.')
    return str(said["key"]).strip()
