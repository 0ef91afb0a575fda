"""/api/v1/groups: users with the same grants. Who adds a member gives him what the group has."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, may_act_for_user, may_manage_user, scopes_with
from domain.audit import PersonalData, tenant_of
from domain.errors import ConflictError
from domain.preconditions import RowVersion
from stores.catalog.groups import (
    UserGroup,
    change_group,
    create_group,
    delete_group,
    get_group,
    list_groups,
)
from stores.catalog.pool import Connection
from stores.catalog.web_catalog import all_tenants
from web.access import in_list, require
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.conditional import expected_version
from web.edits import (
    ETAG,
    IF_MATCH,
    LOCATION,
    entry_of,
    finish,
    rights_transaction,
    with_etag,
)
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import ProblemError, not_found
from web.schemas.users import GroupChange, GroupItem, Groups, GroupsQuery, NewGroup
from web.services import SERVICES
from web.users import check_changes, parse_grants, visible_user

_ACCESS = in_list(Permission.USERS_MANAGE)
_NOT_GIVEN = {403: "You do not manage the group, or do not have what you would give."}
_TAKEN = "The name is taken in this scope."


class GroupsView(View):
    """The groups that the caller manages."""

    view_path = "/api/v1/groups"
    access = _ACCESS
    operations = describe(
        get=Operation("List groups", query=GroupsQuery, answer=Groups),
        post=Operation(
            "Create a group",
            body=NewGroup,
            answer=GroupItem,
            status=201,
            problems={**_NOT_GIVEN, 409: _TAKEN},
            answer_headers={**LOCATION, **ETAG},
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of groups, by id."""
        query = parse_query(request, GroupsQuery)
        place = parse_cursor(request, query, str)
        catalog = await request.app[SERVICES].catalog.get()
        after = "" if place is None else str(place[0])
        with all_tenants():
            found = await list_groups(catalog, _scopes(request), after, query.limit + 1)
        page, following = page_of(request, query, found, lambda group: (group.id,))
        return json_answer(Groups(groups=[_item(each) for each in page], next=following))

    async def post(self, request: web.Request) -> web.Response:
        """Create a group."""
        given = await read_json(request, NewGroup)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        manager = request[PRINCIPAL].principal
        grants = parse_grants(given.grants)
        require(may_manage_user(manager, given.scope, ()), given.scope)
        check_changes(manager, grants)
        async with rights_transaction(request) as connection:
            await _check_members(connection, request, given.members)
            number = await create_group(connection, given.name, given.scope, grants, now_ms)
            if number is None:
                raise ConflictError(_TAKEN)
            made = await get_group(connection, number)
            assert made is not None
            await change_group(connection, made, now_ms, name=made.name, add_members=given.members)
            made = await get_group(connection, number)
            assert made is not None
            response = _answer(made, HTTPStatus.CREATED, f"/api/v1/groups/{number}")
            entry = entry_of(
                request,
                "group:create",
                f"group:{number}",
                tenant=tenant_of([made.scope]),
                after=_audited(made),
                about=_about(made),
            )
            await finish(connection, request, response, entry)
        return response


class GroupView(View):
    """One group."""

    view_path = "/api/v1/groups/{group}"
    access = MappingProxyType({"GET": _ACCESS, "PATCH": _ACCESS, "DELETE": _ACCESS})
    operations = describe(
        get=Operation("Get a group", answer=GroupItem, answer_headers=ETAG),
        patch=Operation(
            "Change a group's name, grants or members",
            description="The sessions of users whose rights change end.",
            body=GroupChange,
            answer=GroupItem,
            problems={
                **_NOT_GIVEN,
                409: "The name is taken, or no administrator of the installation would be left.",
            },
            headers=IF_MATCH,
            answer_headers=ETAG,
        ),
        delete=Operation(
            "Delete a group",
            description="Its members lose what they have by it, and their sessions end.",
            problems={
                **_NOT_GIVEN,
                409: "No administrator of the installation would be left.",
            },
            headers=IF_MATCH,
        ),
    )

    async def get(self, request: web.Request, group: str) -> web.Response:
        """Return the group."""
        with all_tenants():
            async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
                return _answer(await _visible(connection, request, group))

    async def patch(self, request: web.Request, group: str) -> web.Response:
        """Change the group; 412: somebody else did."""
        expected = expected_version(request)
        given = await read_json(request, GroupChange)
        async with rights_transaction(request) as connection:
            before = await _visible(connection, request, group)
            expected.check(_version(before))
            await _change(connection, request, before, given)
            after = await get_group(connection, group)
            assert after is not None
            response = _answer(after)
            entry = entry_of(
                request,
                "group:change",
                f"group:{group}",
                tenant=tenant_of([after.scope]),
                before=_audited(before),
                after=_audited(after),
                about=_about(after),
            )
            await finish(connection, request, response, entry)
        return response

    async def delete(self, request: web.Request, group: str) -> web.Response:
        """Delete the group."""
        expected = expected_version(request)
        services = request.app[SERVICES]
        response = web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)
        async with rights_transaction(request) as connection:
            found = await _visible(connection, request, group)
            expected.check(_version(found))
            check_changes(request[PRINCIPAL].principal, found.grants)
            await delete_group(connection, found, services.clock_ms())
            entry = entry_of(
                request,
                "group:delete",
                f"group:{group}",
                tenant=tenant_of([found.scope]),
                before=_audited(found),
            )
            await finish(connection, request, response, entry)
        return response


async def _change(
    connection: Connection, request: web.Request, group: UserGroup, given: GroupChange
) -> None:
    manager = request[PRINCIPAL].principal
    wanted = group.grants if given.grants is None else parse_grants(given.grants)
    give = [grant for grant in wanted if grant not in group.grants]
    take = [grant for grant in group.grants if grant not in wanted]
    check_changes(manager, [*give, *take])
    members = group.members if given.members is None else tuple(dict.fromkeys(given.members))
    join = [user for user in members if user not in group.members]
    leave = [user for user in group.members if user not in members]
    if join or leave:
        decision = may_act_for_user(manager, group.scope, wanted)
        if not decision:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, decision.reason or "You do not have what this group has."
            )
        await _check_members(connection, request, join)
    changed = await change_group(
        connection,
        group,
        request.app[SERVICES].clock_ms(),
        name=group.name if given.name is None else given.name,
        add_grants=give,
        remove_grants=take,
        add_members=join,
        remove_members=leave,
    )
    if not changed:
        raise ConflictError(_TAKEN)


async def _check_members(
    connection: Connection, request: web.Request, users: Iterable[str]
) -> None:
    """Raise ProblemError (404) where the caller does not see a user: there may be none."""
    for user in users:
        await visible_user(connection, request, user)


async def _visible(connection: Connection, request: web.Request, group: str) -> UserGroup:
    """Return the group, locked; 404: there is none, or the caller does not manage its scope."""
    found = await get_group(connection, group)
    if found is None or not is_visible(_scopes(request), found.scope):
        raise not_found("There is no such group.")
    return found


def _scopes(request: web.Request) -> Sequence[str]:
    return scopes_with(request[PRINCIPAL].principal, Permission.USERS_MANAGE)


def _item(group: UserGroup) -> GroupItem:
    return GroupItem(
        id=group.id,
        name=group.name,
        scope=group.scope,
        created_ms=group.created_ms,
        grants=[str(grant) for grant in group.grants],
        members=list(group.members),
    )


def _version(group: UserGroup) -> RowVersion:
    return RowVersion(str(group.version), current=_item(group).model_dump())


def _answer(
    group: UserGroup, status: int = HTTPStatus.OK, location: str | None = None
) -> web.Response:
    headers = with_etag(str(group.version), location=location)
    return json_answer(_item(group), status=status, headers=headers)


def _audited(group: UserGroup) -> dict[str, object]:
    return {
        "scope": group.scope,
        "grants": [str(grant) for grant in group.grants],
        "members": list(group.members),
    }


def _about(group: UserGroup) -> PersonalData:
    return PersonalData(f"group:{group.id}", {"name": group.name})
