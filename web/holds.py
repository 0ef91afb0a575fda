"""/api/v1/holds: legal holds, which suspend the deletion of footage."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.audit import tenant_of
from domain.errors import ConflictError
from domain.retention import LegalHold
from stores.catalog import retention_rules
from stores.catalog.pool import Connection
from stores.catalog.retention_rules import StoredHold
from web.access import in_list, require_permission
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.edits import LOCATION, entry_of, finish, who
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import not_found
from web.query import parse_path_number
from web.schemas.holds import (
    HoldItem,
    HoldRelease,
    Holds,
    HoldsQuery,
    NewHold,
    PlacedHold,
)
from web.services import SERVICES

_TAG = "Legal holds"
_ACCESS = in_list(Permission.HOLD_MANAGE)
MAX_NUMBER = (1 << 53) - 1


def _answer(stored: StoredHold) -> HoldItem:
    return HoldItem(
        id=stored.id,
        scope=stored.hold.scope,
        from_ms=stored.hold.from_ms,
        to_ms=stored.hold.to_ms,
        placed_by=stored.added_by,
        placed_ms=stored.added_ms,
        why=stored.why,
        lifted_by=stored.lifted_by,
        lifted_ms=stored.lifted_ms,
        lifted_why=stored.lifted_why,
    )


def _scopes(request: web.Request) -> tuple[str, ...]:
    return scopes_with(request[PRINCIPAL].principal, Permission.HOLD_MANAGE)


async def _lock(connection: Connection, request: web.Request, number: str) -> StoredHold:
    """Return the hold of the path, locked; 404: there is none, or it is a foreign one."""
    parsed = parse_path_number(number, MAX_NUMBER)
    found = await retention_rules.lock_hold(connection, parsed)
    if found is None or not is_visible(_scopes(request), found.hold.scope):
        raise not_found(f"There is no hold {number}.")
    return found


class HoldsView(View):
    """The holds of what the caller may hold."""

    view_path = "/api/v1/holds"
    access = _ACCESS
    operations = describe(
        get=Operation("List the legal holds", answer=Holds, query=HoldsQuery, tag=_TAG),
        post=Operation(
            "Place a legal hold",
            description="From the answer on, retention deletes nothing that it covers. It takes "
            "`hold:manage` on the scope, which must exist. S3 does not know holds: check the "
            "bucket's lifecycle with `vigil retention lifecycle --check`.",
            body=NewHold,
            answer=PlacedHold,
            status=201,
            answer_headers=LOCATION,
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of the holds, the newest first."""
        query = parse_query(request, HoldsQuery)
        place = parse_cursor(request, query, int)
        found = await retention_rules.holds_of(
            await request.app[SERVICES].catalog.get(),
            _scopes(request),
            lifted=query.lifted,
            before=None if place is None else int(place[0]),
            limit=query.limit + 1,
        )
        page, following = page_of(request, query, found, lambda hold: (hold.id,))
        return json_answer(Holds(holds=[_answer(hold) for hold in page], next=following))

    async def post(self, request: web.Request) -> web.Response:
        """Place a hold."""
        given = await read_json(request, NewHold)
        require_permission(request[PRINCIPAL].principal, Permission.HOLD_MANAGE, given.scope)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        hold = LegalHold(given.scope, given.from_ms, given.to_ms)
        async with (await services.catalog.get()).transaction() as connection:
            if not await retention_rules.scope_exists(connection, given.scope):
                # A hold on a mistyped scope would protect nothing.
                raise not_found(f"There is no {given.scope}, or your grants do not cover it.")
            number, pending = await retention_rules.place_hold(
                connection,
                hold,
                who(request),
                given.why,
                now_ms,
                principal=request[PRINCIPAL].id,
            )
            placed = StoredHold(number, hold, who(request), given.why, now_ms, None, None)
            answer = PlacedHold(**_answer(placed).model_dump(), pending_deletions=pending)
            response = json_answer(
                answer,
                status=HTTPStatus.CREATED,
                headers={**NO_STORE, "Location": f"/api/v1/holds/{number}"},
            )
            entry = entry_of(
                request,
                "hold:place",
                f"hold:{number}",
                tenant=tenant_of([hold.scope]),
                after={"scope": hold.scope, "from_ms": hold.from_ms, "to_ms": hold.to_ms},
                reason=given.why,
            )
            return await finish(connection, request, response, entry)


class HoldView(View):
    """One hold."""

    view_path = "/api/v1/holds/{number}"
    access = _ACCESS
    operations = describe(get=Operation("Get a legal hold", answer=HoldItem, tag=_TAG))

    async def get(self, request: web.Request, number: str) -> web.Response:
        """Return the hold."""
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            return json_answer(_answer(await _lock(connection, request, number)))


class HoldLiftView(View):
    """The end of a hold. It stays on record, so this is not a DELETE."""

    view_path = "/api/v1/holds/{number}/lift"
    access = MappingProxyType({"POST": _ACCESS})
    operations = describe(
        post=Operation(
            "Lift a legal hold",
            description="Retention may delete its footage from now on. The hold stays on record.",
            body=HoldRelease,
            answer=HoldItem,
            problems={409: "It was lifted before."},
            tag=_TAG,
        )
    )

    async def post(self, request: web.Request, number: str) -> web.Response:
        """Lift it; 409: it was lifted before."""
        given = await read_json(request, HoldRelease)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        async with (await services.catalog.get()).transaction() as connection:
            before = await _lock(connection, request, number)
            if before.lifted_ms is not None:
                raise ConflictError(f"The hold {before.id} was lifted before.")
            await retention_rules.release_hold(
                connection,
                before.id,
                who(request),
                now_ms,
                given.why,
                principal=request[PRINCIPAL].id,
            )
            after = await _lock(connection, request, number)
            response = json_answer(_answer(after))
            entry = entry_of(
                request,
                "hold:lift",
                f"hold:{before.id}",
                tenant=tenant_of([before.hold.scope]),
                before={"scope": before.hold.scope, "lifted_ms": None},
                after={"scope": before.hold.scope, "lifted_ms": now_ms},
                reason=given.why,
            )
            return await finish(connection, request, response, entry)
