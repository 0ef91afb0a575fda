"""Releases, and rollouts: started, paused, resumed, rolled back, stopped."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.errors import ConfigError
from domain.fleet.rollout import RolloutRules
from stores.catalog.releases import StoredRelease, find_release, list_releases
from stores.catalog.rollouts import (
    RolloutAct,
    StoredRollout,
    change_rollout,
    get_rollout,
    list_rollouts,
    start_rollout,
)
from web.access import on_installation
from web.bodies import json_answer, parse_query, read_json
from web.edits import entry_of, finish, who
from web.fleet import TAG
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import not_found
from web.schemas.fleet import (
    NewRollout,
    ReleaseItem,
    Releases,
    ReleasesQuery,
    RolloutChange,
    RolloutItem,
    Rollouts,
    RolloutsQuery,
)
from web.services import SERVICES

_READ = on_installation(Permission.CAMERA_VIEW)
_ADMIN = on_installation(Permission.SITE_CONFIGURE)
_MAX_ID = 1 << 53


class ReleasesView(View):
    """All releases."""

    view_path = "/api/v1/releases"
    access = _READ
    operations = describe(
        get=Operation("List the releases", answer=Releases, query=ReleasesQuery, tag=TAG)
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page, the newest first."""
        query = parse_query(request, ReleasesQuery)
        place = parse_cursor(request, query, int)
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            found = await list_releases(connection)
        older = [each for each in found if place is None or each.number < int(place[0])]
        page, following = page_of(request, query, older, lambda release: (release.number,))
        return json_answer(Releases(releases=[_release(each) for each in page], next=following))


def _release(stored: StoredRelease) -> ReleaseItem:
    targets = stored.release.targets
    return ReleaseItem(
        number=stored.number,
        version=stored.version,
        oldest=stored.release.oldest,
        images={name: target.image for name, target in targets.items()},
        systems={
            name: target.bundle.version
            for name, target in targets.items()
            if target.bundle is not None
        },
        signed_by=stored.signed_by,
        added_ms=stored.added_ms,
        added_by=stored.added_by,
        note=stored.note,
        withdrawn_ms=stored.withdrawn_ms,
        withdrawn_why=stored.withdrawn_why,
    )


class RolloutsView(View):
    """All rollouts."""

    view_path = "/api/v1/rollouts"
    access = MappingProxyType({"GET": _READ, "POST": _ADMIN})
    operations = describe(
        get=Operation("List the rollouts", answer=Rollouts, query=RolloutsQuery, tag=TAG),
        post=Operation(
            "Start a rollout",
            description="It begins with the ring lab. The next ring opens when enough devices "
            "succeeded, for the soak time. A rule halts it where devices have faults.",
            body=NewRollout,
            answer=RolloutItem,
            status=201,
            problems={409: "A rollout is active, or the release is withdrawn."},
            tag=TAG,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page, the newest first."""
        query = parse_query(request, RolloutsQuery)
        place = parse_cursor(request, query, int)
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            versions = {each.number: each.version for each in await list_releases(connection)}
            found = await list_rollouts(
                connection,
                before=None if place is None else int(place[0]),
                limit=query.limit + 1,
            )
        page, following = page_of(request, query, found, lambda rollout: (rollout.id,))
        return json_answer(
            Rollouts(rollouts=[_rollout(each, versions) for each in page], next=following)
        )

    async def post(self, request: web.Request) -> web.Response:
        """Start one."""
        given = await read_json(request, NewRollout)
        chosen = {
            name: rules
            for name in ("lab", "canary", "early", "rest")
            if (rules := getattr(given, name)) is not None
        }
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        async with (await services.catalog.get()).transaction() as connection:
            try:
                release = await find_release(connection, str(given.release))
            except ConfigError as error:
                raise not_found(str(error)) from None
            made = await start_rollout(
                connection,
                release,
                RolloutRules().model_copy(update=chosen),
                now_ms=now_ms,
                by=who(request),
                note=given.why,
            )
            response = json_answer(
                _rollout(made, {release.number: release.version}), status=HTTPStatus.CREATED
            )
            entry = entry_of(
                request,
                "rollout:start",
                f"rollout:{made.id}",
                after=made.audited(),
                reason=given.why,
            )
            return await finish(connection, request, response, entry)


def _rollout(rollout: StoredRollout, versions: dict[int, str]) -> RolloutItem:
    return RolloutItem(
        id=rollout.id,
        release=rollout.release,
        version=versions[rollout.release],
        state=rollout.state,
        ring=rollout.ring,
        reason=rollout.reason,
        note=rollout.note,
        soak_since_ms=rollout.soak_since_ms,
        rules=rollout.thresholds,
        started_ms=rollout.started_ms,
        started_by=rollout.started_by,
        changed_ms=rollout.changed_ms,
        ring_ms=rollout.ring_ms,
        ended_ms=rollout.ended_ms,
    )


def _number(text: str) -> int:
    """Return the rollout's number of a path; ProblemError (404)."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:20]) < _MAX_ID:
        raise not_found(f"There is no rollout {text[:20]}.")
    return int(text[:20])


class RolloutView(View):
    """One rollout."""

    view_path = "/api/v1/rollouts/{number}"
    access = _READ
    operations = describe(get=Operation("Get a rollout", answer=RolloutItem, tag=TAG))

    async def get(self, request: web.Request, number: str) -> web.Response:
        """Return it."""
        id_ = _number(number)
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            found = await get_rollout(connection, id_)
            versions = {each.number: each.version for each in await list_releases(connection)}
        if found is None:
            raise not_found(f"There is no rollout {id_}.")
        return json_answer(_rollout(found, versions))


async def _change(request: web.Request, number: str, act: RolloutAct) -> web.Response:
    given = await read_json(request, RolloutChange)
    id_ = _number(number)
    services = request.app[SERVICES]
    now_ms = services.clock_ms()
    async with (await services.catalog.get()).transaction() as connection:
        if await get_rollout(connection, id_) is None:
            raise not_found(f"There is no rollout {id_}.")
        versions = {each.number: each.version for each in await list_releases(connection)}
        before, after = await change_rollout(connection, id_, act, now_ms=now_ms, why=given.why)
        entry = entry_of(
            request,
            f"rollout:{act}",
            f"rollout:{id_}",
            before=before.audited(),
            after=after.audited(),
            reason=given.why,
        )
        return await finish(connection, request, json_answer(_rollout(after, versions)), entry)


class RolloutPauseView(View):
    """A pause."""

    view_path = "/api/v1/rollouts/{number}/pause"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Pause a rollout",
            description="No further device begins. What is being installed ends.",
            body=RolloutChange,
            answer=RolloutItem,
            problems={409: "It is not running."},
            tag=TAG,
        )
    )

    async def post(self, request: web.Request, number: str) -> web.Response:
        """Pause it."""
        return await _change(request, number, "pause")


class RolloutResumeView(View):
    """The end of a pause or a halt."""

    view_path = "/api/v1/rollouts/{number}/resume"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Resume a rollout",
            description="Devices that returned, failed or refused try again. Other faults of "
            "now do not halt it again.",
            body=RolloutChange,
            answer=RolloutItem,
            problems={409: "It is not paused or halted."},
            tag=TAG,
        )
    )

    async def post(self, request: web.Request, number: str) -> web.Response:
        """Resume it."""
        return await _change(request, number, "resume")


class RolloutRollbackView(View):
    """A rollback."""

    view_path = "/api/v1/rollouts/{number}/rollback"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Roll a rollout back",
            description="Devices on the new release go back to what they ran, ring by ring, at "
            "once: outside of their windows too, but not where updates are locked. The release is "
            "withdrawn.",
            body=RolloutChange,
            answer=RolloutItem,
            problems={409: "It is not running, paused or halted."},
            tag=TAG,
        )
    )

    async def post(self, request: web.Request, number: str) -> web.Response:
        """Roll it back."""
        return await _change(request, number, "rollback")


class RolloutStopView(View):
    """An end."""

    view_path = "/api/v1/rollouts/{number}/stop"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Stop a rollout",
            description="It ends as it is: each device keeps what it runs.",
            body=RolloutChange,
            answer=RolloutItem,
            problems={409: "It is not running, paused or halted."},
            tag=TAG,
        )
    )

    async def post(self, request: web.Request, number: str) -> web.Response:
        """Stop it."""
        return await _change(request, number, "stop")
