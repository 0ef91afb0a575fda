"""/api/v1/sessions: the open sessions, one's own or another user's, and their ends."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, decide
from domain.audit import tenant_of
from domain.caller import Caller
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.sessions import (
    ListedSession,
    end_sessions,
    get_session,
    list_sessions,
)
from stores.catalog.users import User, read_user
from stores.catalog.web_catalog import all_tenants
from web.access import SIGNED_IN
from web.audit import origin_of
from web.bodies import NO_STORE, json_answer, parse_query
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.problems import not_found
from web.schemas.session import SessionItem, SessionList, SessionsQuery
from web.services import SERVICES


class SessionsView(View):
    """The open sessions."""

    view_path = "/api/v1/sessions"
    access = MappingProxyType({"GET": SIGNED_IN, "DELETE": SIGNED_IN})
    operations = describe(
        get=Operation(
            "List open sessions",
            query=SessionsQuery,
            answer=SessionList,
            problems={404: "There is no such user, or the caller does not manage him."},
        ),
        delete=Operation(
            "End sessions: all of the caller but this one, or all of a user",
            query=SessionsQuery,
            problems={404: "There is no such user, or the caller does not manage him."},
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the sessions, the newest first."""
        catalog = await request.app[SERVICES].catalog.get()
        with all_tenants():
            found, _ = await _sessions(request, catalog)
        mine = request[PRINCIPAL].session
        return json_answer(SessionList(sessions=[_answer(each, mine) for each in found]))

    async def delete(self, request: web.Request) -> web.Response:
        """End them; the one that asks goes on."""
        services = request.app[SERVICES]
        catalog = await services.catalog.get()
        with all_tenants():
            found, tenant = await _sessions(request, catalog)
            ids = [each.id for each in found if each.id != request[PRINCIPAL].session]
            await _end(request, catalog, ids, tenant)
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)


class OneSessionView(View):
    """One open session."""

    view_path = "/api/v1/sessions/{session}"
    access = MappingProxyType({"DELETE": SIGNED_IN})
    operations = describe(
        delete=Operation(
            "End a session",
            description="All web workers reject it within 5 s.",
            problems={404: "There is no such open session, or it is none of the caller's."},
        )
    )

    async def delete(self, request: web.Request, session: str) -> web.Response:
        """End it."""
        catalog = await request.app[SERVICES].catalog.get()
        caller = request[PRINCIPAL]
        unknown = not_found("There is no such open session.")
        with all_tenants():
            async with catalog.transaction() as connection:
                found = await get_session(connection, session)
            if found is None:
                raise unknown
            tenant = tenant_of([grant.scope for grant in caller.grants])
            if not _is_own(caller, found):
                user = None
                if found.user_id is not None:
                    user = await read_user(catalog, found.user_id)
                if user is None or not _manages(caller, user):
                    raise unknown
                tenant = tenant_of([user.scope])
            await _end(request, catalog, [session], tenant)
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)


def _is_own(caller: Caller, session: ListedSession) -> bool:
    if caller.user is not None:
        return session.user_id == caller.user
    return session.key is not None and session.key == caller.key


def _manages(caller: Caller, user: User) -> bool:
    return bool(decide(caller.principal, Permission.USERS_MANAGE, user.scope))


async def _sessions(request: web.Request, catalog: Catalog) -> tuple[list[ListedSession], str]:
    """Return the sessions that a query is about, and whose audit log they belong to."""
    caller = request[PRINCIPAL]
    now_ms = request.app[SERVICES].clock_ms()
    asked = parse_query(request, SessionsQuery).user
    if asked is None or asked == caller.user:
        found = await list_sessions(catalog, now_ms, user=caller.user, key=caller.key)
        return found, tenant_of([grant.scope for grant in caller.grants])
    user = await read_user(catalog, asked)
    if user is None or not _manages(caller, user):
        raise not_found("There is no such user.")
    return await list_sessions(catalog, now_ms, user=asked), tenant_of([user.scope])


async def _end(request: web.Request, catalog: Catalog, ids: list[str], tenant: str) -> None:
    services = request.app[SERVICES]
    now_ms = services.clock_ms()
    async with catalog.transaction() as connection:
        for ended in await end_sessions(connection, ids, now_ms):
            entry = origin_of(request).entry(
                now_ms, "session:end", f"session:{ended}", tenant=tenant
            )
            await write_audit(connection, entry)
    services.sessions.forget()


def _answer(session: ListedSession, current: str | None) -> SessionItem:
    return SessionItem(
        id=session.id,
        user=session.user_id,
        key=session.key,
        current=session.id == current,
        created_ms=session.created_ms,
        seen_ms=session.seen_ms,
        until_ms=session.until_ms,
        address=session.address,
        agent=session.agent,
    )
