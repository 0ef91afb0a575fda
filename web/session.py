"""/api/v1/session: sign in by login and password or by key, see who is signed in, sign out."""

from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import PERMISSIONS, Grant
from domain.audit import tenant_of
from stores.catalog.audit import write_audit
from stores.catalog.keys import ApiKey
from stores.catalog.pool import Connection
from stores.catalog.sessions import ListedSession, create_session, end_sessions, session_of
from stores.catalog.sign_in import count_recovery_codes
from stores.catalog.users import read_user
from stores.catalog.web_catalog import all_tenants
from web.access import ENROLLING, PUBLIC
from web.audit import origin_of
from web.bodies import NO_STORE, json_answer, read_json
from web.cookies import (
    cookie_name,
    delete_session_cookie,
    device_cookie,
    set_device_cookie,
    set_session_cookie,
)
from web.middleware import PRINCIPAL, SESSION_PATH, check_client
from web.operations import Operation, describe
from web.problems import ProblemError
from web.schemas.session import ScopePermissions, SessionInfo, SignInRequest
from web.services import SERVICES
from web.sign_in import Attempt

MAX_BODY = 4_096


class SessionView(View):
    """Sign in, get who is signed in, sign out."""

    view_path = SESSION_PATH
    access = MappingProxyType({"GET": ENROLLING, "POST": PUBLIC, "DELETE": PUBLIC})
    operations = describe(
        get=Operation("Get who is signed in, and what he may do", answer=SessionInfo),
        post=Operation(
            "Sign in",
            description="The answer sets a cookie: HttpOnly, SameSite=Strict. Its session ends "
            "after 12 hours without a request, and after 7 days. A session that the request had "
            "before ends. A second cookie makes the browser known: attempts of others do not limit "
            "its own.",
            body=SignInRequest,
            problems={
                401: "Wrong login or password, or a key that is not valid. The kind "
                "`code-required`: send `totp` too.",
                403: "A key of an edge, a key that is not for this address, or a page of another "
                "site.",
                429: "Too many attempts on this account, of this network, or at once.",
            },
        ),
        delete=Operation(
            "Sign out",
            description="All web workers reject the session within 5 s.",
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return who is signed in."""
        caller = request[PRINCIPAL]
        user, codes = None, None
        if caller.user is not None:
            catalog = await request.app[SERVICES].catalog.get()
            with all_tenants():
                user = await read_user(catalog, caller.user)
                codes = await count_recovery_codes(catalog, caller.user)
        has_totp = user is not None and user.has_totp
        return json_answer(
            SessionInfo(
                id=caller.id,
                name=caller.name,
                login=None if user is None else user.login,
                grants=[str(grant) for grant in caller.grants],
                may=_permissions(caller.grants),
                session=caller.session,
                has_password=user is not None and user.has_password,
                has_totp=has_totp,
                must_enrol=caller.must_enrol,
                recovery_codes=codes if has_totp else None,
            )
        )

    async def post(self, request: web.Request) -> web.Response:
        """Open a session; its cookie is in the answer."""
        given = await read_json(request, SignInRequest, MAX_BODY)
        with all_tenants():
            if given.key is not None:
                return await _sign_in_by_key(request, given.key)
            assert given.login is not None
            assert given.password is not None
            return await _sign_in_by_password(request, given.login, given.password, given.totp)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the cookie, and what the browser has cached of the footage."""
        services = request.app[SERVICES]
        catalog = await services.catalog.get()
        with all_tenants():
            async with catalog.transaction() as connection:
                ended = await end_own_session(request, connection)
                if ended is not None:
                    whose = f"key:{ended.key}" if ended.user_id is None else f"user:{ended.user_id}"
                    origin = replace(origin_of(request), actor=whose, session=ended.id)
                    entry = origin.entry(services.clock_ms(), "session:end", f"session:{ended.id}")
                    await write_audit(connection, entry)
        services.sessions.forget()
        response = web.Response(
            status=HTTPStatus.NO_CONTENT, headers={"Clear-Site-Data": '"cache"'}
        )
        delete_session_cookie(request, response)
        return response


def attempt_of(request: web.Request, login: str, password: str, code: str | None) -> Attempt:
    """Return an attempt to sign in, with where it comes from."""
    return Attempt(
        login,
        password,
        code,
        address=request.app[SERVICES].proxies.client_of(request),
        device=device_cookie(request),
        origin=origin_of(request),
    )


async def _sign_in_by_key(request: web.Request, given: str) -> web.Response:
    services = request.app[SERVICES]
    catalog = await services.catalog.get()
    key = await services.sessions.of_key(catalog, given.strip())
    if key is None:
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "This key is not valid, or it was revoked.")
    check_client(request, key)
    if key.edge_of is not None:
        raise ProblemError(
            HTTPStatus.FORBIDDEN, "This is a key of an edge. Sign in with a key of a person."
        )
    async with catalog.transaction() as connection:
        token = await open_session(request, connection, key=key)
    return _signed_in(request, token)


async def _sign_in_by_password(
    request: web.Request, login: str, password: str, code: str | None
) -> web.Response:
    services = request.app[SERVICES]
    catalog = await services.catalog.get()
    checked = await services.sign_in.check(catalog, attempt_of(request, login, password, code))
    async with catalog.transaction() as connection:
        device = await checked.finish(connection, services.clock_ms())
        account = checked.account
        token = await open_session(
            request,
            connection,
            user=account.id,
            name=account.display_name,
            tenant=tenant_of([account.scope]),
        )
    response = _signed_in(request, token)
    set_device_cookie(request, response, device)
    return response


async def open_session(
    request: web.Request,
    connection: Connection,
    *,
    user: str | None = None,
    name: str = "",
    key: ApiKey | None = None,
    tenant: str | None = None,
) -> str:
    """Open a session for a user or a key, end the one of before, write the audit log.

    Returns the value for `set_session_cookie`. `name`: of the user; `tenant`: whose audit log gets
    the entry.
    """
    services = request.app[SERVICES]
    now_ms = services.clock_ms()
    await end_own_session(request, connection)
    session, token = await create_session(
        connection,
        now_ms,
        user=user,
        key=None if key is None else key.id,
        address=services.proxies.client_of(request),
        agent=request.headers.get("User-Agent", ""),
    )
    whose = f"user:{user}" if key is None else f"key:{key.id}"
    if key is not None:
        tenant = tenant_of([grant.scope for grant in key.grants])
    # Who signed in did it: a search for what somebody did finds it.
    origin = replace(
        origin_of(request), actor=whose, session=session, name=name if key is None else key.name
    )
    entry = origin.entry(now_ms, "session:create", whose, tenant=tenant, after={"session": session})
    await write_audit(connection, entry)
    return token


async def end_own_session(request: web.Request, connection: Connection) -> ListedSession | None:
    """End the session of the request's cookie, if it has one, and return it."""
    cookie = request.cookies.get(cookie_name(request))
    session = await session_of(connection, cookie) if cookie else None
    if session is not None:
        await end_sessions(connection, [session.id], request.app[SERVICES].clock_ms())
    return session


def _signed_in(request: web.Request, token: str) -> web.Response:
    request.app[SERVICES].sessions.forget()
    response = web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)
    set_session_cookie(request, response, token)
    return response


def _permissions(grants: tuple[Grant, ...]) -> list[ScopePermissions]:
    by_scope: dict[str, set[str]] = {}
    for grant in grants:
        by_scope.setdefault(grant.scope, set()).update(PERMISSIONS[grant.role])
    return [
        ScopePermissions(scope=scope, permissions=sorted(permissions))
        for scope, permissions in sorted(by_scope.items())
    ]
