"""The fleet: what each device runs, who is behind and why; the lock of a site's updates."""

from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, scopes_with
from domain.fleet.behind import why_behind
from domain.fleet.maintenance import window_text
from domain.fleet.release import FleetRelease
from domain.fleet.rollout import RolloutRules, fault_of
from stores.catalog.fleet import FleetDevice, list_fleet, lock_site_updates
from stores.catalog.releases import list_releases
from stores.catalog.rollouts import StoredRollout, current_rollout
from web.access import in_list, on_known_site
from web.bodies import json_answer, parse_query, read_json
from web.edits import entry_of, finish, who
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.query import check_site_filter
from web.schemas.fleet import (
    CurrentRollout,
    FleetDevices,
    FleetItem,
    FleetQuery,
    UpdateLock,
    UpdateLockAnswer,
)
from web.services import SERVICES

TAG = "Updates"


class FleetView(View):
    """All devices."""

    view_path = "/api/v1/fleet"
    access = in_list(Permission.CAMERA_VIEW)
    operations = describe(
        get=Operation(
            "List what each device runs",
            description="Each enrolled device of the caller's sites, with its update in the "
            "current rollout, and why it is behind.",
            answer=FleetDevices,
            query=FleetQuery,
            tag=TAG,
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of devices."""
        query = parse_query(request, FleetQuery)
        place = parse_cursor(request, query, str)
        check_site_filter(query.site)
        services = request.app[SERVICES]
        async with (await services.catalog.get()).transaction() as connection:
            releases = {each.number: each for each in await list_releases(connection)}
            rollout = await current_rollout(connection)
            found = await list_fleet(
                connection,
                scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW),
                None if rollout is None else rollout.id,
                after="" if place is None else str(place[0]),
                site=query.site,
                limit=query.limit + 1,
            )
        page, following = page_of(request, query, found, lambda device: (device.device,))
        usable = {n: each.release for n, each in releases.items() if each.withdrawn_ms is None}
        versions = {number: each.version for number, each in releases.items()}
        now_ms = services.clock_ms()
        return json_answer(
            FleetDevices(
                rollout=None if rollout is None else _current(rollout, versions),
                devices=[_item(each, rollout, usable, versions, now_ms) for each in page],
                next=following,
            )
        )


def _current(rollout: StoredRollout, versions: dict[int, str]) -> CurrentRollout:
    return CurrentRollout(
        id=rollout.id,
        version=versions[rollout.release],
        state=rollout.state,
        ring=rollout.ring,
    )


def _item(
    device: FleetDevice,
    rollout: StoredRollout | None,
    usable: dict[int, FleetRelease],
    versions: dict[int, str],
    now_ms: int,
) -> FleetItem:
    rules = RolloutRules() if rollout is None else rollout.thresholds
    target = None if rollout is None else rollout.target
    seen, window = device.seen, device.window
    return FleetItem(
        device=device.device,
        site=device.site,
        ring=device.ring,
        hardware=device.hardware,
        release=device.release,
        version=versions.get(device.release or 0),
        image=device.image,
        system=device.system,
        software=device.software,
        state=device.state,
        reason=device.reason or None,
        behind=why_behind(device.situation, target, usable, now_ms),
        fault=None if seen is None else fault_of(seen, rules, now_ms),
        changed_ms=device.changed_ms,
        window=None if window is None else window_text(window, device.zone),
        lock=device.lock,
        cameras=device.cameras,
        recording=device.cameras_recording,
        spool_waiting=device.spool_waiting,
        reported_ms=device.reported_ms,
        heartbeat_ms=device.heartbeat_ms,
    )


class SiteUpdateLockView(View):
    """The lock of a site's updates."""

    view_path = "/api/v1/sites/{tenant}/{site}/update-lock"
    access = MappingProxyType({"PUT": on_known_site(Permission.SITE_CONFIGURE)})
    operations = describe(
        put=Operation(
            "Lock the updates of a site",
            description="While it is locked, its devices install nothing, not even a rollback. An "
            "install that has begun ends.",
            body=UpdateLock,
            answer=UpdateLockAnswer,
            tag=TAG,
        )
    )

    async def put(self, request: web.Request, tenant: str, site: str) -> web.Response:
        """Lock or unlock."""
        given = await read_json(request, UpdateLock)
        name = f"{tenant}/{site}"
        services = request.app[SERVICES]
        async with (await services.catalog.get()).transaction() as connection:
            await lock_site_updates(
                connection, name, given.why, by=who(request), now_ms=services.clock_ms()
            )
            response = json_answer(UpdateLockAnswer(site=name, lock=given.why))
            action = "site:unlock-updates" if given.why is None else "site:lock-updates"
            entry = entry_of(request, action, name, reason=given.why or "")
            return await finish(connection, request, response, entry)
