"""/api/v1/session: exchange a key for a cookie that scripts in the page cannot read."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.sign_in import LIFETIME_MS
from stores.catalog.pool import Connection
from stores.catalog.sessions import create_session, end_sessions, session_of
from stores.catalog.web_catalog import all_tenants
from web.access import PUBLIC
from web.bodies import json_answer, read_json
from web.middleware import PRINCIPAL, SESSION_PATH, check_client, cookie_name
from web.operations import Operation, describe
from web.problems import ProblemError
from web.schemas.session import KeySignIn, SessionInfo
from web.services import SERVICES

MAX_BODY = 4_096


class SessionView(View):
    """Sign in, get who is signed in, sign out."""

    view_path = SESSION_PATH
    access = MappingProxyType({"POST": PUBLIC, "DELETE": PUBLIC})
    operations = describe(
        get=Operation("Get who is signed in", answer=SessionInfo),
        post=Operation(
            "Sign in: exchange a key for a cookie",
            description="The cookie is HttpOnly and SameSite=Strict. The session ends after 12 "
            "hours without a request, and after 7 days.",
            body=KeySignIn,
            problems={
                401: "The key is not valid.",
                403: "A key of an edge, a key that is not for this address, or a page of another "
                "site.",
            },
        ),
        delete=Operation(
            "Sign out",
            description="All web workers reject the session within 5 s.",
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the name of the signed-in key, and what it may do where."""
        caller = request[PRINCIPAL]
        grants = [str(grant) for grant in caller.grants]
        return json_answer(SessionInfo(name=caller.name, grants=grants))

    async def post(self, request: web.Request) -> web.Response:
        """Exchange {"key": "…"} for a cookie; 401: it is not valid, 403: it is an edge's."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        given = (await read_json(request, KeySignIn, MAX_BODY)).key.strip()
        with all_tenants():
            key = await services.sessions.of_key(await services.catalog.get(), given)
        if key is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "This key is not valid, or it was revoked.")
        check_client(request, key)
        if key.edge_of is not None:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, "This is a key of an edge. Sign in with a key of a person."
            )
        catalog = await services.catalog.get()
        async with catalog.transaction() as connection:
            await end_own_session(request, connection, now_ms)
            _, token = await create_session(
                connection,
                now_ms,
                key=key.id,
                address=services.proxies.client_of(request),
                agent=request.headers.get("User-Agent", ""),
            )
        response = web.Response(status=HTTPStatus.NO_CONTENT, headers={"Cache-Control": "no-store"})
        set_session_cookie(request, response, token)
        return response

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the cookie, and what the browser has cached of the footage."""
        services = request.app[SERVICES]
        catalog = await services.catalog.get()
        async with catalog.transaction() as connection:
            await end_own_session(request, connection, services.clock_ms())
        services.sessions.forget()
        response = web.Response(
            status=HTTPStatus.NO_CONTENT, headers={"Clear-Site-Data": '"cache"'}
        )
        response.del_cookie(
            cookie_name(request),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=services.proxies.is_https(request),
        )
        return response


def set_session_cookie(request: web.Request, response: web.Response, token: str) -> None:
    """Give the browser the cookie of its session."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=LIFETIME_MS // 1_000,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.app[SERVICES].proxies.is_https(request),
    )


async def end_own_session(request: web.Request, connection: Connection, now_ms: int) -> None:
    """End the session of the request's cookie, if it has one: a new sign-in replaces it."""
    cookie = request.cookies.get(cookie_name(request))
    if cookie and (session := await session_of(connection, cookie)) is not None:
        await end_sessions(connection, [session.id], now_ms)
