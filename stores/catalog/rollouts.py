"""Rollouts: started, paused, resumed and rolled back by people; advanced by the reconciler.

Everything is decided with the rollout's row locked, in one transaction. So two workers do not open
a ring twice. One that is killed has done all of a step or nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from domain.audit import BY_SYSTEM
from domain.errors import ConflictError
from domain.fleet.device_update import (
    DeviceProgress,
    RolloutTarget,
    new_progress,
    sent_back,
    tried_again,
)
from domain.fleet.rings import RINGS, rings_of_sites
from domain.fleet.rollout import (
    ACTIVE,
    FleetRolloutState,
    RolloutDecision,
    RolloutRules,
    RolloutSituation,
    UpdatedDevice,
    decide_rollout,
    fault_of,
)
from domain.site_file.model import Ring
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Connection, Row, sql
from stores.catalog.releases import StoredRelease, withdraw_release


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A rollout as its row has it. Times in UTC ms."""

    id: int
    release: int
    state: FleetRolloutState
    ring: Ring
    round: int
    soak_since_ms: int | None
    rules: dict[str, Any]
    reason: str
    note: str
    started_ms: int
    started_by: str
    changed_ms: int
    ring_ms: int
    ended_ms: int | None

    @property
    def target(self) -> RolloutTarget:
        """Return it as a device sees it."""
        return RolloutTarget(self.id, self.release, self.state, self.ring)

    @property
    def thresholds(self) -> RolloutRules:
        """Return its rules."""
        return RolloutRules.model_validate(self.rules)

    def audited(self) -> dict[str, Any]:
        """Return what the audit log has of it."""
        return {"release": self.release, "state": self.state, "ring": self.ring}


@dataclass(frozen=True, slots=True)
class RolloutDevice:
    """A device of a rollout: its row, what it runs, and its newest signs of life."""

    device: str
    progress: DeviceProgress
    round: int
    running: int | None
    """The release that it runs."""
    seen: UpdatedDevice


RolloutAct = Literal["pause", "resume", "rollback", "stop"]
_FROM: dict[RolloutAct, tuple[FleetRolloutState, ...]] = {
    "pause": ("running",),
    "resume": ("paused", "halted"),
    "rollback": ("running", "paused", "halted"),
    "stop": ("running", "paused", "halted"),
}
_TO: dict[RolloutAct, FleetRolloutState] = {
    "pause": "paused",
    "resume": "running",
    "rollback": "rolling-back",
    "stop": "stopped",
}


async def start_rollout(
    connection: Connection,
    release: StoredRelease,
    rules: RolloutRules,
    *,
    now_ms: int,
    by: str,
    note: str = "",
) -> StoredRollout:
    """Start a rollout. ConflictError: one is active, or the release is withdrawn.

    The reconciler gives each device its ring. The caller writes the audit log.
    """
    if release.withdrawn_ms is not None:
        raise ConflictError(
            f"Release {release.version} is withdrawn ({release.withdrawn_why}). Make a new one."
        )
    active = await lock_active(connection)
    if active is not None:
        raise ConflictError(
            f"Rollout {active.id} of release {active.release} is {active.state}: one at a time. "
            f"Roll it back, or stop it with `vigil fleet rollout stop {active.id}`."
        )
    id_ = await connection.fetchval(
        sql("add_rollout"), release.number, rules.model_dump(), note, now_ms, by, RINGS[0]
    )
    made = await get_rollout(connection, int(id_))
    assert made is not None
    return made


async def change_rollout(
    connection: Connection, id_: int, act: RolloutAct, *, now_ms: int, why: str
) -> tuple[StoredRollout, StoredRollout]:
    """Pause, resume, roll back or stop; return it before and after. ConflictError.

    A rollback withdraws the release. The caller writes the audit log.
    """
    before = _rollout(await connection.fetchrow(sql("lock_rollout"), id_))
    if before is None:
        raise ConflictError(f"There is no rollout {id_}. `vigil fleet status` shows the newest.")
    if before.state not in _FROM[act]:
        allowed = " or ".join(_FROM[act])
        raise ConflictError(f"Rollout {id_} is {before.state}; only one that is {allowed} can be "
                            f"{_DONE[act]}.")  # fmt: skip
    after = replace(
        before,
        state=_TO[act],
        reason=why,
        round=before.round + (act in ("resume", "rollback")),
        ring=RINGS[0] if act == "rollback" else before.ring,
        soak_since_ms=None,
    )
    await _store(connection, after, now_ms)
    if act == "rollback":
        await withdraw_release(connection, before.release, now_ms, f"rolled back: {why}")
    stored = await get_rollout(connection, id_)
    assert stored is not None
    return before, stored


_DONE: dict[RolloutAct, str] = {
    "pause": "paused",
    "resume": "resumed",
    "rollback": "rolled back",
    "stop": "stopped",
}


async def get_rollout(connection: Connection, id_: int) -> StoredRollout | None:
    """Return a rollout, or None."""
    return _rollout(await connection.fetchrow(sql("get_rollout"), id_))


async def current_rollout(connection: Connection) -> StoredRollout | None:
    """Return the active rollout, else the newest one that finished, else None."""
    return _rollout(await connection.fetchrow(sql("current_rollout")))


async def list_rollouts(
    connection: Connection, *, before: int | None = None, limit: int = 100
) -> list[StoredRollout]:
    """Return rollouts, the newest first; `before`: only older ones."""
    rows = await connection.fetch(sql("list_rollouts"), before, limit)
    return [StoredRollout(**dict(row)) for row in rows]


async def lock_active(connection: Connection) -> StoredRollout | None:
    """Return the active rollout, which no one else changes until the transaction ends."""
    return _rollout(await connection.fetchrow(sql("lock_active_rollout")))


async def rollout_devices(connection: Connection, rollout: StoredRollout) -> list[RolloutDevice]:
    """Return the devices of a rollout."""
    rows = await connection.fetch(sql("rollout_devices"), rollout.id)
    return [rollout_device(row) for row in rows]


def rollout_device(row: Row) -> RolloutDevice:
    """Return the device of a row with the columns of `rollout_devices`."""
    progress = DeviceProgress(
        row["ring"], row["state"], row["reason"], row["attempt"], row["came_from"],
        row["began_ms"], row["changed_ms"],
    )  # fmt: skip
    seen = UpdatedDevice(
        device=row["device"],
        ring=row["ring"],
        state=row["state"],
        reason=row["reason"],
        began_ms=row["began_ms"],
        changed_ms=row["changed_ms"],
        reported_ms=row["reported_ms"],
        heartbeat_ms=row["heartbeat_ms"],
        cameras_before=row["cameras_before"],
        cameras_recording=row["cameras_recording"],
        spool_before=row["spool_before"],
        spool_waiting=row["spool_waiting"],
        spool_oldest_ms=row["spool_oldest_ms"],
        excused=row["excused"],
    )
    return RolloutDevice(row["device"], progress, row["round"], row["running"], seen)


async def reconcile_rollout(catalog: Catalog, now_ms: int) -> RolloutDecision | None:
    """Advance the active rollout by one step; None: none is active.

    Any number of workers may call it at any time: the row's lock lets one decide, and the next one
    decides about what that one did.
    """
    async with catalog.transaction() as connection:
        rollout = await lock_active(connection)
        if rollout is None:
            return None
        rules = rollout.thresholds
        await _place_devices(connection, rollout, rules, now_ms)
        devices = await _follow(connection, rollout, rules, now_ms)
        view = RolloutSituation(
            rollout.state, rollout.ring, rollout.soak_since_ms, [each.seen for each in devices]
        )
        decision = decide_rollout(view, rules, now_ms)
        after = _after(rollout, decision, now_ms)
        if after != rollout:
            await _store(connection, after, now_ms)
        if (after.state, after.ring) != (rollout.state, rollout.ring):
            entry = BY_SYSTEM.entry(
                now_ms,
                _ACTIONS[decision.step],
                f"rollout:{rollout.id}",
                before=rollout.audited(),
                after={**after.audited(), "why": decision.reason},
            )
            await write_audit(connection, entry)
    return decision


_ACTIONS = {
    "halt": "rollout:halt",
    "open": "rollout:open-ring",
    "finish": "rollout:finish",
    "end-rollback": "rollout:end-rollback",
}


def _after(rollout: StoredRollout, decision: RolloutDecision, now_ms: int) -> StoredRollout:
    """Return the rollout after a decision."""
    if rollout.state not in ("running", "rolling-back"):
        return rollout
    changed = replace(rollout, reason=decision.reason)
    if decision.step == "halt":
        return replace(changed, state="halted", soak_since_ms=None)
    if decision.step == "open":
        assert decision.ring is not None
        return replace(changed, ring=decision.ring, soak_since_ms=None)
    if decision.step == "soak":
        return replace(changed, soak_since_ms=now_ms)
    if decision.step == "unsoak":
        return replace(changed, soak_since_ms=None)
    if decision.step == "finish":
        return replace(changed, state="finished")
    if decision.step == "end-rollback":
        return replace(changed, state="rolled-back")
    return changed


async def _place_devices(
    connection: Connection, rollout: StoredRollout, rules: RolloutRules, now_ms: int
) -> None:
    """Give each enrolled device its ring. Where sites are placed already, they stay."""
    await connection.execute(sql("drop_gone_rollout_devices"), rollout.id)
    new = await connection.fetch(sql("devices_without_row"), rollout.id)
    if not new:
        return
    placed = {
        row["device"].rsplit("/", 1)[0]: row["ring"]
        for row in await connection.fetch(sql("rollout_devices"), rollout.id)
    }
    counts: dict[str, int] = {}
    for row in new:
        counts[row["site"]] = counts.get(row["site"], 0) + 1
    rings = {row["site"]: row["ring"] for row in new}
    if not placed:
        rings = rings_of_sites(rings, counts, rollout.release, rules.early_percent)
    for row in new:
        site = row["site"]
        progress = new_progress(placed.get(site, rings[site]), now_ms)
        await put_progress(connection, rollout, row["device"], progress)


async def _follow(
    connection: Connection, rollout: StoredRollout, rules: RolloutRules, now_ms: int
) -> Sequence[RolloutDevice]:
    """Bring the rows of devices to the rollout's round: after a resume or a rollback."""
    devices = await rollout_devices(connection, rollout)
    behind = [each for each in devices if each.round < rollout.round]
    if not behind:
        return devices
    for each in behind:
        progress, excused = each.progress, each.seen.excused
        if rollout.state == "rolling-back":
            progress = sent_back(progress, rollout.target, each.running, now_ms)
        elif progress.state in ("failed", "returned", "refused"):
            progress = tried_again(progress, now_ms)
        elif fault_of(each.seen, rules, now_ms) is not None:
            excused = True
        await put_progress(connection, rollout, each.device, progress, excused=excused)
    return await rollout_devices(connection, rollout)


async def put_progress(
    connection: Connection,
    rollout: StoredRollout,
    device: str,
    progress: DeviceProgress,
    *,
    excused: bool = False,
) -> None:
    """Store a device's row."""
    await connection.execute(
        sql("put_rollout_device"),
        rollout.id,
        device,
        progress.ring,
        progress.state,
        progress.reason,
        progress.attempt,
        rollout.round,
        progress.came_from,
        progress.began_ms,
        progress.changed_ms,
        excused,
    )


async def _store(connection: Connection, rollout: StoredRollout, now_ms: int) -> None:
    await connection.execute(
        sql("set_rollout"),
        rollout.id,
        rollout.state,
        rollout.ring,
        rollout.soak_since_ms,
        rollout.reason,
        now_ms,
        rollout.round,
    )


def _rollout(row: Row | None) -> StoredRollout | None:
    return None if row is None else StoredRollout(**dict(row))


def is_active(rollout: StoredRollout | None) -> bool:
    """Return whether a rollout is not over."""
    return rollout is not None and rollout.state in ACTIVE
