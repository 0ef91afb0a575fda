"""One device in a rollout: what its report changes, and what it is to install next. Pure.

pending ─► waiting ─► downloading ─► installing ─► checking ─► succeeded
                            │             │            └─────► returned, failed
                            └─────────────┴──────────────────► refused, failed
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from domain.fleet.messages import BEGUN, ENDED, DeviceUpdateReport, DeviceUpdateState
from domain.fleet.release import FleetRelease, next_step
from domain.fleet.rings import RINGS, is_reached
from domain.fleet.rollout import FleetRolloutState
from domain.site_file.model import Ring

UNDER_WAY: frozenset[DeviceUpdateState] = frozenset(("installing", "checking"))


@dataclass(frozen=True, slots=True)
class DeviceProgress:
    """A device's row in a rollout. Times in UTC ms."""

    ring: Ring
    state: DeviceUpdateState
    reason: str
    attempt: int
    came_from: int | None
    """The release that it ran before; None: not known, or it has not begun."""
    began_ms: int | None
    changed_ms: int


@dataclass(frozen=True, slots=True)
class RolloutTarget:
    """A rollout as one device sees it."""

    id: int
    release: int
    state: FleetRolloutState
    ring: Ring
    """The newest open one."""


def new_progress(ring: Ring, now_ms: int) -> DeviceProgress:
    """Return the row of a device that has not heard of the rollout."""
    return DeviceProgress(ring, "pending", "", 1, None, None, now_ms)


def apply_report(
    progress: DeviceProgress,
    rollout: RolloutTarget,
    report: DeviceUpdateReport,
    running: int | None,
    now_ms: int,
) -> DeviceProgress:
    """Return the row after a report; the same one where it has nothing new.

    `running`: the release that the device runs. A report of another rollout or attempt, or about a
    step on the way, does not end this update. What has ended stays so: a late copy changes nothing.
    """
    given = report.update
    is_ours = given is not None and (given.rollout, given.attempt) == (rollout.id, progress.attempt)
    if progress.state in ENDED:
        return progress
    if (
        rollout.state != "rolling-back"
        and running == rollout.release
        and not (is_ours and given is not None and given.state in UNDER_WAY | {"failed"})
    ):
        # Also where it lost its notes, or had this release already.
        return _changed(progress, "succeeded", "", now_ms)
    is_over = given is None or given.state in ENDED
    if rollout.state == "rolling-back" and running != rollout.release and is_over:
        # Also where it returned by itself, while the rollout was being rolled back.
        return _changed(progress, "returned", "the rollout is rolled back", now_ms)
    if given is None or not is_ours:
        return progress
    state, reason = given.state, given.reason
    if state == "succeeded":
        # A step on the way: the next answer names the next one.
        state, reason = "pending", f"release {given.release} runs, on the way to another one"
    changed = _changed(progress, state, reason, now_ms)
    if state in BEGUN and changed.began_ms is None:
        changed = replace(changed, began_ms=now_ms, came_from=progress.came_from or running)
    return changed


def _changed(
    progress: DeviceProgress, state: DeviceUpdateState, reason: str, now_ms: int
) -> DeviceProgress:
    if (state, reason) == (progress.state, progress.reason):
        return progress
    at_ms = progress.changed_ms if state == progress.state else now_ms
    return replace(progress, state=state, reason=reason, changed_ms=at_ms)


@dataclass(frozen=True, slots=True)
class WantedRelease:
    """What a device installs next. `reason` where it is None: why nothing."""

    release: int | None
    reason: str = ""
    at_once: bool = False


def wanted_release(
    progress: DeviceProgress,
    rollout: RolloutTarget,
    running: int | None,
    usable: Mapping[int, FleetRelease],
) -> WantedRelease:
    """Return which release a device is to install now.

    `usable`: the releases that may be installed, by number; what is withdrawn is not one.
    """
    if rollout.state == "rolling-back":
        return _way_back(progress, rollout, running)
    if rollout.state not in ("running", "finished"):
        return WantedRelease(None, f"the rollout is {rollout.state}")
    if rollout.state == "running" and not is_reached(progress.ring, rollout.ring):
        return WantedRelease(None, f"the ring {progress.ring} is not open yet")
    if progress.state in ENDED:
        return WantedRelease(None)
    wanted = usable.get(rollout.release)
    if wanted is None:
        return WantedRelease(None, f"release {rollout.release} is withdrawn")
    step = next_step(running, wanted, usable)
    if step is None:
        return WantedRelease(
            None,
            f"it runs release {running}, {wanted.number} follows {wanted.oldest} and later ones, "
            "and there is none in between that may be installed. Install the device again.",
        )
    return WantedRelease(step)


def _way_back(
    progress: DeviceProgress, rollout: RolloutTarget, running: int | None
) -> WantedRelease:
    if RINGS.index(progress.ring) > RINGS.index(rollout.ring):
        return WantedRelease(None, f"the ring {progress.ring} is not open yet")
    if progress.state in ENDED or running != rollout.release:
        return WantedRelease(None)
    if progress.came_from is None:
        return WantedRelease(None, "what it ran before is not a release")
    return WantedRelease(progress.came_from, at_once=True)


def tried_again(progress: DeviceProgress, now_ms: int) -> DeviceProgress:
    """Return the row for another try: after a fault, when a halted rollout is resumed."""
    return replace(
        progress, state="pending", reason="", attempt=progress.attempt + 1, began_ms=None,
        changed_ms=now_ms,
    )  # fmt: skip


def sent_back(
    progress: DeviceProgress, rollout: RolloutTarget, running: int | None, now_ms: int
) -> DeviceProgress:
    """Return the row when the rollout begins to roll back.

    Who runs the new release, or is about to, goes back. For all others it has ended.
    """
    if progress.state in ("returned", "failed", "refused"):
        return progress
    if running != rollout.release and progress.state not in UNDER_WAY:
        return replace(
            progress, state="refused", reason="the rollout is rolled back: it was not updated",
            changed_ms=now_ms,
        )  # fmt: skip
    if progress.came_from is None:
        return replace(
            progress, state="failed", reason="what it ran before is not a release: it stays",
            changed_ms=now_ms,
        )  # fmt: skip
    return replace(tried_again(progress, now_ms), began_ms=progress.began_ms)
