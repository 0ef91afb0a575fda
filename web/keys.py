"""/api/v1/keys: API keys. No one gives what he does not have; a key is shown once."""

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import (
    Grant,
    Permission,
    key_tenant,
    may_create_key,
    may_manage_key,
    parse_grant,
    scopes_with,
)
from domain.audit import PersonalData
from domain.caller import Caller
from domain.errors import ConflictError, InvalidTextError
from domain.key_limits import (
    LONGEST_OVERLAP_MS,
    check_expiry,
    check_within,
    site_of_edge_key,
)
from stores.catalog import keys
from stores.catalog.keys import ListedKey, NewKey
from stores.catalog.pool import Connection
from web.access import in_list, require
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.edits import LOCATION, entry_of, finish
from web.idempotency import shown_once
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import ProblemError, bad_request, not_found
from web.query import parse_path_number
from web.schemas.keys import (
    CreatedKey,
    KeyItem,
    KeyRotation,
    Keys,
    KeysQuery,
    NewKeyRequest,
)
from web.services import SERVICES

_TAG = "API keys"
_ACCESS = in_list(Permission.KEYS_MANAGE)
_NOT_GIVEN = {403: "You do not have what the key would have."}
MAX_NUMBER = (1 << 53) - 1


def _fields(key: ListedKey, now_ms: int) -> KeyItem:
    return KeyItem(
        id=key.id,
        name=key.name,
        hint=key.hint,
        state=key.state(now_ms),
        grants=[str(grant) for grant in key.grants],
        edge_of=key.edge_of,
        networks=None if key.networks is None else list(key.networks),
        created_ms=key.created_ms,
        created_by=key.created_by,
        expires_ms=key.expires_ms,
        revoked_ms=key.revoked_ms,
        used_ms=key.used_ms,
        rotated_from=key.rotated_from,
        owner=None if key.owner is None else f"user:{key.owner}",
    )


async def _lock(connection: Connection, request: web.Request, number: str) -> ListedKey:
    """Return the key of the path, locked; 404: there is none, or the caller may not manage it."""
    found = await keys.lock_key(connection, parse_path_number(number, MAX_NUMBER))
    if found is None or not may_manage_key(request[PRINCIPAL].principal, found.scopes):
        raise not_found(f"There is no key {number}.")
    return found


async def _check_limits(connection: Connection, request: web.Request, new: NewKey) -> None:
    """Raise ProblemError (400) where a key would outlive the one that creates it, or reach further.

    Otherwise a key that expires could prolong its own life.
    """
    number = request[PRINCIPAL].key
    own = None if number is None else await keys.lock_key(connection, number)
    if own is not None:
        try:
            check_within(new.expires_ms, new.networks, own.expires_ms, own.networks)
        except InvalidTextError as error:
            raise bad_request(str(error)) from None


async def _add(
    connection: Connection, request: web.Request, number: int, key: str, action: str
) -> web.Response:
    """Return the answer with a new key, in the open transaction."""
    now_ms = request.app[SERVICES].clock_ms()
    made = await keys.lock_key(connection, number)
    assert made is not None
    answer = CreatedKey(**_fields(made, now_ms).model_dump(), key=key)
    headers = {**NO_STORE, "Location": f"/api/v1/keys/{number}"}
    response = json_answer(answer, status=HTTPStatus.CREATED, headers=headers)
    entry = entry_of(
        request,
        action,
        f"key:{number}",
        tenant=made.tenant,
        after=_audited(made),
        about=PersonalData(f"key:{number}", {"name": made.name}),
    )
    return await finish(connection, request, shown_once(response), entry)


def _audited(key: ListedKey) -> dict[str, object]:
    return {
        "grants": [str(grant) for grant in key.grants],
        "expires_ms": key.expires_ms,
        "networks": None if key.networks is None else list(key.networks),
        "rotated_from": key.rotated_from,
        **({} if key.owner is None else {"owner": f"user:{key.owner}"}),
    }


def _owner(caller: Caller, grants: Sequence[Grant]) -> str | None:
    """Return the person whose key it is that a caller creates; None: a service's, a device's."""
    if site_of_edge_key(grants) is not None:
        return None
    return caller.user or caller.owner


class KeysView(View):
    """The keys that the caller may manage."""

    view_path = "/api/v1/keys"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "List the API keys",
            description="Those of which you manage every scope. A key for several tenants belongs "
            "to the installation.",
            answer=Keys,
            query=KeysQuery,
            tag=_TAG,
        ),
        post=Operation(
            "Create an API key",
            description="No one gives what he does not have: it takes every permission of the "
            "role on the scope. A user's own key may do no more than he may at any time, and ends "
            "with him; `service` makes one that does not. A key that is created by a key ends no "
            "later than that one, and is limited to its networks. Sent again with the same "
            "`Idempotency-Key`, it is answered 409 with the `Location`: the key is not kept.",
            body=NewKeyRequest,
            answer=CreatedKey,
            status=201,
            problems=_NOT_GIVEN,
            answer_headers=LOCATION,
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of the keys, the newest first."""
        query = parse_query(request, KeysQuery)
        place = parse_cursor(request, query, int)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        found = await keys.keys_of(
            await services.catalog.get(),
            scopes_with(request[PRINCIPAL].principal, Permission.KEYS_MANAGE),
            now_ms,
            ended=query.ended,
            before=None if place is None else int(place[0]),
            limit=query.limit + 1,
        )
        page, following = page_of(request, query, found, lambda key: (key.id,))
        return json_answer(Keys(keys=[_fields(key, now_ms) for key in page], next=following))

    async def post(self, request: web.Request) -> web.Response:
        """Create a key and return it, once."""
        given = await read_json(request, NewKeyRequest)
        caller = request[PRINCIPAL]
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        grants = tuple(parse_grant(text) for text in dict.fromkeys(given.grants))
        require(may_create_key(caller.principal, grants), key_tenant(grants))
        try:
            new = NewKey(
                name=given.name,
                grants=grants,
                edge_of=site_of_edge_key(grants),
                expires_ms=(
                    None if given.expires_ms is None else check_expiry(given.expires_ms, now_ms)
                ),
                networks=None if given.networks is None else tuple(given.networks),
                created_by=caller.id,
                owner=None if given.service else _owner(caller, grants),
            )
        except InvalidTextError as error:
            raise bad_request(str(error)) from None
        async with (await services.catalog.get()).transaction() as connection:
            await _check_limits(connection, request, new)
            number, key = await keys.add_key(connection, new, now_ms)
            return await _add(connection, request, number, key, "key:create")


class KeyView(View):
    """One key."""

    view_path = "/api/v1/keys/{number}"
    access = _ACCESS
    operations = describe(
        get=Operation("Get an API key", answer=KeyItem, tag=_TAG),
        delete=Operation(
            "Revoke an API key",
            description="All workers reject it within 5 s. It stays on record. Sent again, it "
            "changes nothing.",
            problems={409: "It is the last admin of a scope."},
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request, number: str) -> web.Response:
        """Return the key, without the key itself."""
        services = request.app[SERVICES]
        async with (await services.catalog.get()).transaction() as connection:
            found = await _lock(connection, request, number)
            return json_answer(_fields(found, services.clock_ms()))

    async def delete(self, request: web.Request, number: str) -> web.Response:
        """Revoke it; 409: it is the last admin of a scope."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        response = web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)
        async with (await services.catalog.get()).transaction() as connection:
            found = await _lock(connection, request, number)
            if found.revoked_ms is not None:
                return response
            await keys.check_admin_left(connection, found, now_ms)
            await keys.end_key(connection, found.id, now_ms)
            entry = entry_of(
                request,
                "key:revoke",
                f"key:{found.id}",
                tenant=found.tenant,
                before={**_audited(found), "revoked_ms": None},
                after={**_audited(found), "revoked_ms": now_ms},
            )
            return await finish(connection, request, response, entry)


class KeyRotationView(View):
    """The successor of a key."""

    view_path = "/api/v1/keys/{number}/rotate"
    access = MappingProxyType({"POST": _ACCESS})
    operations = describe(
        post=Operation(
            "Rotate an API key",
            description="Creates a key with the same name, grants and networks, and lets the old "
            "one expire. Two keys of one line are valid at most.",
            body=KeyRotation,
            answer=CreatedKey,
            status=201,
            problems={
                **_NOT_GIVEN,
                409: "The key is not valid any more, or two keys of its line are valid.",
            },
            answer_headers=LOCATION,
            tag=_TAG,
        )
    )

    async def post(self, request: web.Request, number: str) -> web.Response:
        """Create the successor and return it, once."""
        given = await read_json(request, KeyRotation)
        caller = request[PRINCIPAL]
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        if not now_ms <= given.old_expires_ms <= now_ms + LONGEST_OVERLAP_MS:
            raise bad_request("old_expires_ms must be in the future, within 31 days.")
        async with (await services.catalog.get()).transaction() as connection:
            old = await _lock(connection, request, number)
            # Who rotates a key gets to know the new one: so he needs all that it may do.
            require(may_create_key(caller.principal, old.grants), key_tenant(old.grants))
            if old.owner is not None and old.owner != (caller.user or caller.owner):
                raise ProblemError(
                    HTTPStatus.FORBIDDEN, "This is another person's key: only he rotates it."
                )
            if old.state(now_ms) != "valid":
                raise ConflictError(f"The key {old.id} is {old.state(now_ms)}: create another one.")
            new = old.successor(now_ms, caller.id)
            if given.expires_ms is not None:
                try:
                    new = replace(new, expires_ms=check_expiry(given.expires_ms, now_ms))
                except InvalidTextError as error:
                    raise bad_request(str(error)) from None
            await _check_limits(connection, request, new)
            made, key = await keys.rotate_key(connection, old, new, given.old_expires_ms, now_ms)
            return await _add(connection, request, made, key, "key:rotate")
