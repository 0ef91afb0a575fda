"""One exchange with a device's update agent: it reports, and gets what it is to install."""

from collections.abc import Callable
from functools import partial

from domain.fleet.device_update import (
    DeviceProgress,
    WantedRelease,
    apply_report,
    new_progress,
    wanted_release,
)
from domain.fleet.messages import (
    BEGUN,
    DeviceUpdateReport,
    OfferedRelease,
    UpdateAnswer,
    WantedUpdate,
)
from domain.fleet.release import release_of_image
from domain.site_file.model import MaintenanceWindow, Ring
from stores.catalog.pool import Catalog, Connection, sql
from stores.catalog.releases import StoredRelease, list_releases
from stores.catalog.rollouts import StoredRollout, current_rollout, put_progress

POLL_S = 60
BUSY_POLL_S = 10
"""While a device has something to install."""


async def exchange_update(
    catalog: Catalog, device: str, report: DeviceUpdateReport, now_ms: int
) -> UpdateAnswer:
    """Store a device's report (tenant/site/device), and return what is wanted of it.

    The same report again changes nothing but its time.
    """
    site = device.rsplit("/", 1)[0]
    async with catalog.transaction() as connection:
        releases = {each.number: each for each in await list_releases(connection)}
        running = _running(report, releases)
        await connection.execute(
            sql("put_device_software"),
            device,
            report.agent,
            report.hardware,
            report.running.image,
            running,
            report.running.system,
            report.model_dump(mode="json"),
            now_ms,
        )
        policy = await connection.fetchrow(sql("site_update_policy"), site)
        ring: Ring = "rest" if policy is None else policy["ring"]
        rollout = await current_rollout(connection)
        wanted = None
        if rollout is not None:
            apply = partial(
                apply_report, rollout=rollout.target, report=report, running=running, now_ms=now_ms
            )
            progress = await _advance(
                connection, rollout, device, apply, new_progress(ring, now_ms)
            )
            wanted = _wanted(progress, rollout, running, releases)
    window = None if policy is None else policy["maintenance"]
    return UpdateAnswer(
        wanted=wanted,
        window=None if window is None else MaintenanceWindow.model_validate(window),
        zone="UTC" if policy is None else policy["zone"],
        lock=None if policy is None else policy["lock"],
        poll_s=POLL_S if wanted is None else BUSY_POLL_S,
    )


def _running(report: DeviceUpdateReport, releases: dict[int, StoredRelease]) -> int | None:
    """Return the release that a device runs: by its notes, else by the image's digest."""
    number, image = report.running.release, report.running.image
    if number in releases and image in {
        target.image for target in releases[number].release.targets.values()
    }:
        return number
    if image is None:
        return None
    return release_of_image(image, {each.number: each.release for each in releases.values()})


async def _advance(
    connection: Connection,
    rollout: StoredRollout,
    device: str,
    apply: Callable[[DeviceProgress], DeviceProgress],
    new: DeviceProgress,
) -> DeviceProgress | None:
    """Apply the report to the device's row. None: the reconciler has to place it first.

    `new`: the row of a device that comes after the end, when all rings are open.
    """
    row = await connection.fetchrow(sql("get_rollout_device"), rollout.id, device)
    if row is None:
        if rollout.state != "finished":
            return None
        before = new
    elif row["round"] < rollout.round:
        return None
    else:
        fields = dict(row)
        fields.pop("round")
        before = DeviceProgress(**fields)
    after = apply(before)
    if row is None or after != before:
        await put_progress(connection, rollout, device, after)
        if after.state in BEGUN and before.state not in BEGUN:
            await connection.execute(sql("note_before_update"), rollout.id, device)
    return after


def _wanted(
    progress: DeviceProgress | None,
    rollout: StoredRollout,
    running: int | None,
    releases: dict[int, StoredRelease],
) -> WantedUpdate | None:
    if progress is None:
        return None
    usable = {each.number: each.release for each in releases.values() if each.withdrawn_ms is None}
    choice: WantedRelease = wanted_release(progress, rollout.target, running, usable)
    if choice.release is None or choice.release not in releases:
        return None
    return WantedUpdate(
        rollout=rollout.id,
        attempt=progress.attempt,
        release=OfferedRelease.of(releases[choice.release].signed),
        at_once=choice.at_once,
    )
