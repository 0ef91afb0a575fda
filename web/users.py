"""/api/v1/users: who may sign in, and what he may do. No one gives what he does not have."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import (
    Grant,
    Permission,
    Principal,
    Role,
    covers,
    is_visible,
    may_act_for_user,
    may_grant,
    may_manage_user,
    parse_grant,
    scopes_with,
)
from domain.audit import PersonalData, tenant_of
from domain.errors import ConflictError
from domain.preconditions import RowVersion
from stores.catalog.pool import Connection
from stores.catalog.sessions import end_sessions_of_users, renew_session
from stores.catalog.sign_in import remove_totp
from stores.catalog.users import (
    User,
    change_user,
    change_user_grants,
    create_user,
    get_user,
    list_users,
    set_password,
)
from stores.catalog.web_catalog import all_tenants
from web.access import in_list, require
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.conditional import expected_version
from web.cookies import set_session_cookie
from web.edits import (
    ETAG,
    IF_MATCH,
    LOCATION,
    entry_of,
    finish,
    rights_transaction,
    with_etag,
)
from web.idempotency import shown_once
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.passwords import generate_password
from web.problems import ProblemError, bad_request, not_found
from web.schemas.users import (
    CreatedUser,
    NewPassword,
    NewUser,
    UserChange,
    UserItem,
    Users,
    UsersQuery,
)
from web.services import SERVICES

ACCESS = in_list(Permission.USERS_MANAGE)
_NOT_MANAGED = {403: "You do not manage the user, or do not have what you would give."}
_LAST = {409: "He is the last administrator of the installation or of a tenant."}


class UsersView(View):
    """The users that the caller sees."""

    view_path = "/api/v1/users"
    access = ACCESS
    operations = describe(
        get=Operation(
            "List users",
            description="Those who belong to a scope that you manage, or have a grant in one.",
            query=UsersQuery,
            answer=Users,
        ),
        post=Operation(
            "Create a user",
            description="A password is made and shown once. Sent again with the same "
            "`Idempotency-Key`, it is answered 409 with the `Location`.",
            body=NewUser,
            answer=CreatedUser,
            status=201,
            problems={**_NOT_MANAGED, 409: "The login is taken, by a user that you may not see."},
            answer_headers=LOCATION,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of users, by id."""
        query = parse_query(request, UsersQuery)
        place = parse_cursor(request, query, str)
        scopes = _scopes(request)
        catalog = await request.app[SERVICES].catalog.get()
        with all_tenants():
            after = "" if place is None else str(place[0])
            found = await list_users(catalog, scopes, after, query.limit + 1)
        page, following = page_of(request, query, found, lambda user: (user.id,))
        return json_answer(Users(users=[_item(each, scopes) for each in page], next=following))

    async def post(self, request: web.Request) -> web.Response:
        """Create a user; return him and his password."""
        given = await read_json(request, NewUser)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        manager = request[PRINCIPAL].principal
        grants = parse_grants(given.grants)
        require(may_manage_user(manager, given.scope, ()), given.scope)
        check_changes(manager, grants)
        password = generate_password()
        password_hash = await services.sign_in.passwords.hash(password)
        async with rights_transaction(request) as connection:
            number = await create_user(
                connection,
                login=given.login,
                display_name=given.display_name,
                scope=given.scope,
                now_ms=now_ms,
                grants=grants,
                password_hash=password_hash,
            )
            if number is None:
                raise ConflictError(f"The login {given.login} is taken. Choose another one.")
            user = await get_user(connection, number)
            assert user is not None
            item = _item(user, _scopes(request))
            response = json_answer(
                CreatedUser(**item.model_dump(), password=password),
                status=HTTPStatus.CREATED,
                headers=with_etag(str(user.version), location=f"/api/v1/users/{number}"),
            )
            entry = entry_of(
                request,
                "user:create",
                f"user:{number}",
                tenant=tenant_of([user.scope]),
                after=audited(user),
                about=about(user),
            )
            return await finish(connection, request, shown_once(response), entry)


class UserView(View):
    """One user."""

    view_path = "/api/v1/users/{user}"
    access = MappingProxyType({"GET": ACCESS, "PATCH": ACCESS})
    operations = describe(
        get=Operation("Get a user", answer=UserItem, answer_headers=ETAG),
        patch=Operation(
            "Rename, disable or enable a user, or change his grants",
            description="Where his rights change or he is disabled, his sessions end.",
            body=UserChange,
            answer=UserItem,
            problems={**_NOT_MANAGED, **_LAST},
            headers=IF_MATCH,
            answer_headers=ETAG,
        ),
    )

    async def get(self, request: web.Request, user: str) -> web.Response:
        """Return the user."""
        with all_tenants():
            async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
                found = await visible_user(connection, request, user)
        return _answer(found, request)

    async def patch(self, request: web.Request, user: str) -> web.Response:
        """Change the user; 412: somebody else did."""
        expected = expected_version(request)
        given = await read_json(request, UserChange)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        manager = request[PRINCIPAL].principal
        async with rights_transaction(request) as connection:
            before = await visible_user(connection, request, user)
            expected.check(_version(before, request))
            await _rename(connection, manager, before, given, now_ms)
            if given.grants is not None:
                await _regrant(connection, request, before, parse_grants(given.grants))
            after = await get_user(connection, user)
            assert after is not None
            response = _answer(after, request)
            caller = request[PRINCIPAL]
            if caller.user == user and caller.session is not None:
                token = await renew_session(connection, caller.session)
                if token is not None:
                    set_session_cookie(request, response, token)
            entry = entry_of(
                request,
                "user:change",
                f"user:{user}",
                tenant=tenant_of([after.scope]),
                before=audited(before),
                after=audited(after),
                about=about(after),
            )
            await finish(connection, request, response, entry)
        return response


class UserPasswordView(View):
    """The password of another user."""

    view_path = "/api/v1/users/{user}/password"
    access = MappingProxyType({"POST": ACCESS})
    operations = describe(
        post=Operation(
            "Reset a user's password",
            description="A new one is made and shown once. His sessions end. It takes all that "
            "the user may do: who resets a password could sign in with it.",
            answer=NewPassword,
            problems={**_NOT_MANAGED, 409: "He signs in by OpenID Connect only."},
        )
    )

    async def post(self, request: web.Request, user: str) -> web.Response:
        """Set a new password and return it."""
        services = request.app[SERVICES]
        password = generate_password()
        password_hash = await services.sign_in.passwords.hash(password)
        async with rights_transaction(request) as connection:
            found = await visible_user(connection, request, user)
            require_acting_for(request[PRINCIPAL].principal, found)
            if found.login is None:
                raise ConflictError("This user signs in by OpenID Connect only.")
            await set_password(connection, user, password_hash, services.clock_ms())
            response = json_answer(NewPassword(password=password))
            entry = entry_of(
                request, "user:password", f"user:{user}", tenant=tenant_of([found.scope])
            )
            await finish(connection, request, shown_once(response), entry)
        return response


class UserTotpView(View):
    """The second factor of another user."""

    view_path = "/api/v1/users/{user}/totp"
    access = MappingProxyType({"DELETE": ACCESS})
    operations = describe(
        delete=Operation(
            "Remove a user's second factor",
            description="For a lost phone. His recovery codes are deleted and his sessions end. It "
            "takes all that the user may do.",
            problems=_NOT_MANAGED,
        )
    )

    async def delete(self, request: web.Request, user: str) -> web.Response:
        """Remove it."""
        services = request.app[SERVICES]
        response = web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)
        async with rights_transaction(request) as connection:
            found = await visible_user(connection, request, user)
            require_acting_for(request[PRINCIPAL].principal, found)
            await remove_totp(connection, user)
            await end_sessions_of_users(connection, [user], services.clock_ms())
            entry = entry_of(
                request, "user:totp-remove", f"user:{user}", tenant=tenant_of([found.scope])
            )
            await finish(connection, request, response, entry)
        return response


def parse_grants(texts: Iterable[str]) -> tuple[Grant, ...]:
    """Return the grants of people; raise ProblemError (400) for the role of devices."""
    grants = tuple(parse_grant(text) for text in dict.fromkeys(texts))
    if any(grant.role is Role.EDGE for grant in grants):
        raise bad_request("The role edge is for devices: create an API key for one.")
    return grants


def check_changes(manager: Principal, changed: Iterable[Grant]) -> None:
    """Raise ProblemError where a principal may not give, or take away, a grant."""
    for grant in changed:
        require(may_grant(manager, grant), grant.scope)


async def visible_user(connection: Connection, request: web.Request, user: str) -> User:
    """Return the user, locked; 404: there is none, or the caller does not see him."""
    found = await get_user(connection, user)
    scopes = _scopes(request)
    if found is None or not any(
        is_visible(scopes, scope)
        for scope in (found.scope, *(grant.scope for grant in found.grants))
    ):
        raise not_found("There is no such user.")
    return found


def require_acting_for(manager: Principal, user: User) -> None:
    """Raise ProblemError (403) where a principal may not act in the place of a user."""
    decision = may_act_for_user(manager, user.scope, user.grants)
    if not decision:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            decision.reason or "This user has rights in places that you do not manage.",
        )


def audited(user: User) -> dict[str, object]:
    """Return what the audit log says of a user; his names are apart."""
    return {
        "scope": user.scope,
        "disabled": user.disabled_ms is not None,
        "grants": [str(grant) for grant in user.own_grants],
    }


def about(user: User) -> PersonalData:
    """Return the personal data of a user for the audit log."""
    return PersonalData(
        f"user:{user.id}", {"login": user.login or "", "display_name": user.display_name}
    )


async def _rename(
    connection: Connection, manager: Principal, user: User, given: UserChange, now_ms: int
) -> None:
    """Change the name and whether he is disabled, where they are to change."""
    name = user.display_name if given.display_name is None else given.display_name
    was_disabled = user.disabled_ms is not None
    disabled = was_disabled if given.disabled is None else given.disabled
    if (name, disabled) == (user.display_name, was_disabled):
        return
    decision = may_manage_user(manager, user.scope, user.grants)
    if not decision:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            decision.reason or "This user has rights in places that you do not manage.",
        )
    await change_user(connection, user, display_name=name, disabled=disabled, now_ms=now_ms)


async def _regrant(
    connection: Connection, request: web.Request, user: User, wanted: Sequence[Grant]
) -> None:
    """Make the grants that the caller manages those that are wanted; others stay."""
    caller = request[PRINCIPAL]
    scopes = _scopes(request)
    had = [grant for grant in user.own_grants if is_visible(scopes, grant.scope)]
    add = [grant for grant in wanted if grant not in user.own_grants]
    remove = [grant for grant in had if grant not in wanted]
    if not add and not remove:
        return
    check_changes(caller.principal, [*add, *remove])
    await change_user_grants(
        connection,
        user.id,
        request.app[SERVICES].clock_ms(),
        add=add,
        remove=remove,
        keep_session=caller.session if caller.user == user.id else None,
    )


def _scopes(request: web.Request) -> tuple[str, ...]:
    return scopes_with(request[PRINCIPAL].principal, Permission.USERS_MANAGE)


def _item(user: User, scopes: Sequence[str]) -> UserItem:
    """Return a user as a principal sees him who manages the scopes."""

    def texts(grants: Iterable[Grant]) -> list[str]:
        return [str(grant) for grant in grants if is_visible(scopes, grant.scope)]

    by_group = [grant for grant in user.grants if grant not in user.own_grants]
    return UserItem(
        id=user.id,
        login=user.login,
        display_name=user.display_name,
        scope=user.scope if any(covers(each, user.scope) for each in scopes) else "other",
        source="local" if user.iss is None else "oidc",
        iss=user.iss,
        disabled_ms=user.disabled_ms,
        created_ms=user.created_ms,
        updated_ms=user.updated_ms,
        has_password=user.has_password,
        has_totp=user.has_totp,
        grants=texts(user.own_grants),
        groups=list(user.groups) if is_visible(scopes, user.scope) else [],
        group_grants=texts(by_group),
    )


def _version(user: User, request: web.Request) -> RowVersion:
    current = _item(user, _scopes(request)).model_dump()
    return RowVersion(str(user.version), changed_ms=user.updated_ms, current=current)


def _answer(user: User, request: web.Request) -> web.Response:
    return json_answer(_item(user, _scopes(request)), headers=with_etag(str(user.version)))
