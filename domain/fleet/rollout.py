"""A rollout over rings: when the next ring opens, and when the rollout halts. Pure.

    running ──► ring: enough devices succeeded, for the soak time ──► next ring ──► finished
       │  ▲
       │  └─ resume: devices with a fault try again
       ├──► paused (by a person)
       ├──► halted (by a rule, which says why)
       └──► rolling-back ──► rolled-back

hawkBit's words: success threshold and error threshold of a deployment group; ours are rings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.fleet.messages import BEGUN, DeviceUpdateState
from domain.fleet.rings import RINGS, following, is_reached
from domain.site_file.model import Ring

FleetRolloutState = Literal[
    "running", "paused", "halted", "rolling-back", "finished", "rolled-back", "stopped"
]
ACTIVE: frozenset[FleetRolloutState] = frozenset(("running", "paused", "halted", "rolling-back"))
"""At most one rollout of an installation is in one of these."""
SAMPLE = 20
"""A share of fewer devices is taken of so many: one fault in three does not prove much."""
MAX_NAMED = 3
"""Devices that a reason names."""

Percent = Annotated[int, Field(ge=0, le=100)]
_Duration = Annotated[int, Field(ge=0, le=30 * 86_400_000)]


class RingRules(BaseModel):
    """What one ring needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    success_percent: Percent = Field(description="of its devices that must have succeeded")
    error_percent: Percent = Field(description="more devices with a fault halt the rollout")
    soak_ms: _Duration = Field(description="how long that must last before the next ring opens")


_HOUR_MS = 3_600_000


class RolloutRules(BaseModel):
    """When rings open, and what halts a rollout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lab: RingRules = RingRules(success_percent=100, error_percent=0, soak_ms=_HOUR_MS)
    canary: RingRules = RingRules(success_percent=100, error_percent=0, soak_ms=24 * _HOUR_MS)
    early: RingRules = RingRules(success_percent=90, error_percent=5, soak_ms=24 * _HOUR_MS)
    rest: RingRules = RingRules(success_percent=90, error_percent=5, soak_ms=0)
    early_percent: Percent = Field(10, description="share of the devices in `early`")
    silent_ms: _Duration = Field(
        900_000, description="a device that says nothing for so long after its update is a fault"
    )
    stuck_ms: _Duration = Field(
        2_700_000, description="an install or its health check that takes longer is a fault"
    )
    settle_ms: _Duration = Field(
        120_000, description="after an update, before cameras and spool are compared"
    )
    backlog_ms: _Duration = Field(
        1_800_000, description="a spool that grows, and whose oldest fragment is older, is a fault"
    )
    watch_ms: _Duration = Field(
        24 * _HOUR_MS, description="how long after its update a device is watched"
    )
    absent_ms: _Duration = Field(
        _HOUR_MS, description="a device that was silent for so long before is not waited for"
    )

    def of(self, ring: Ring) -> RingRules:
        """Return the rules of a ring."""
        rules: RingRules = getattr(self, ring)
        return rules


@dataclass(frozen=True, slots=True)
class UpdatedDevice:
    """One device of a rollout, by its row and what was heard of it. Times in UTC ms."""

    device: str
    ring: Ring
    state: DeviceUpdateState
    reason: str = ""
    began_ms: int | None = None
    """When it began to install."""
    changed_ms: int = 0
    """Since when it is in its state."""
    reported_ms: int | None = None
    """Newest report of its update agent; None: it has none, or was never heard."""
    heartbeat_ms: int | None = None
    """Newest heartbeat of its recorder, as it arrived."""
    cameras_before: int | None = None
    """That recorded when it began."""
    cameras_recording: int | None = None
    spool_before: int | None = None
    """Fragments that waited when it began."""
    spool_waiting: int | None = None
    spool_oldest_ms: int | None = None

    excused: bool = False
    """The rollout was resumed in spite of its fault."""

    @property
    def heard_ms(self) -> int | None:
        """When it was heard last; None: never."""
        return max(self.reported_ms or 0, self.heartbeat_ms or 0) or None

    def is_absent(self, rules: RolloutRules, now_ms: int) -> bool:
        """Return whether it is not there, and has not begun: nothing waits for it."""
        if self.state in BEGUN:
            return False
        return self.reported_ms is None or now_ms - self.reported_ms > rules.absent_ms


@dataclass(frozen=True, slots=True)
class RolloutSituation:
    """What is decided about. Times in UTC ms."""

    state: FleetRolloutState
    ring: Ring
    """The newest one that is open."""
    soak_since_ms: int | None
    """Since when that ring has what it needs."""
    devices: Sequence[UpdatedDevice] = field(default_factory=tuple)


RolloutStep = Literal["stay", "soak", "unsoak", "open", "halt", "finish", "end-rollback"]


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """What to do now. `reason`: in words, for people; `ring`: the ring to open."""

    step: RolloutStep
    reason: str
    ring: Ring | None = None


def fault_of(device: UpdatedDevice, rules: RolloutRules, now_ms: int) -> str | None:
    """Return what is wrong with a device after it began its update; None: nothing is known."""
    if device.state in ("failed", "returned", "refused"):
        return f"{device.state}: {device.reason}" if device.reason else device.state
    if device.state not in BEGUN or device.excused:
        return None
    since_ms = now_ms - device.changed_ms
    if device.state != "succeeded" and since_ms > rules.stuck_ms:
        return f"has been {device.state} for {_minutes(since_ms)}"
    if device.state == "succeeded" and since_ms > rules.watch_ms:
        return None
    if device.heard_ms is None or now_ms - device.heard_ms > rules.silent_ms:
        silent_ms = now_ms - max(device.heard_ms or 0, device.began_ms or device.changed_ms)
        if silent_ms > rules.silent_ms:
            return f"silent for {_minutes(silent_ms)} after the update began"
    if device.state != "succeeded" or since_ms < rules.settle_ms:
        return None
    return _recording_fault(device, rules, now_ms)


def _recording_fault(device: UpdatedDevice, rules: RolloutRules, now_ms: int) -> str | None:
    """Compare cameras and spool with what they were, by a heartbeat after the update."""
    if device.heartbeat_ms is None:
        return None
    quiet_ms = now_ms - max(device.heartbeat_ms, device.changed_ms)
    if quiet_ms > rules.silent_ms:
        return f"its recorder has sent no heartbeat for {_minutes(quiet_ms)}"
    if device.heartbeat_ms < device.changed_ms + rules.settle_ms:
        return None
    before, now = device.cameras_before, device.cameras_recording
    if before is not None and now is not None and now < before:
        return f"records {now} of the {before} cameras that recorded before"
    waiting, oldest_ms = device.spool_waiting, device.spool_oldest_ms
    if (
        waiting is not None
        and oldest_ms is not None
        and waiting > (device.spool_before or 0)
        and now_ms - oldest_ms > rules.backlog_ms
        and oldest_ms >= (device.began_ms or 0)  # an older backlog is not the update's fault
    ):
        age = _minutes(now_ms - oldest_ms)
        return f"its spool grows: {waiting} fragments wait, the oldest for {age}"
    return None


def decide_rollout(view: RolloutSituation, rules: RolloutRules, now_ms: int) -> RolloutDecision:
    """Return what happens to a rollout now. Deciding twice about the same state changes nothing."""
    if view.state == "rolling-back":
        return _decide_rollback(view, rules, now_ms)
    if view.state != "running":
        return RolloutDecision("stay", view.state)
    opened = [each for each in view.devices if is_reached(each.ring, view.ring)]
    faults = {each.device: fault_of(each, rules, now_ms) for each in opened}
    if (why := _halt_reason(view, opened, faults, rules)) is not None:
        return RolloutDecision("halt", why)
    ring = [each for each in opened if each.ring == view.ring]
    present = [each for each in ring if not each.is_absent(rules, now_ms)]
    needed = rules.of(view.ring)
    good = sum(each.state == "succeeded" and faults[each.device] is None for each in present)
    text = f"{view.ring}: {good} of {len(present)} devices succeeded"
    if ring and (not present or good * 100 < needed.success_percent * len(present)):
        absent = len(ring) - len(present)
        text += f", {absent} are away" if absent else ""
        return RolloutDecision("stay" if view.soak_since_ms is None else "unsoak", text)
    if ring and view.soak_since_ms is None and needed.soak_ms:
        return RolloutDecision("soak", f"{text}; soak time of {_minutes(needed.soak_ms)} began")
    if ring and needed.soak_ms:
        left_ms = (view.soak_since_ms or now_ms) + needed.soak_ms - now_ms
        if left_ms > 0:
            return RolloutDecision("stay", f"{text}; soaks for {_minutes(left_ms)} more")
    after = following(view.ring, {each.ring for each in view.devices})
    if after is None:
        return RolloutDecision("finish", text)
    return RolloutDecision("open", f"{text}; {after} opens", after)


def _halt_reason(
    view: RolloutSituation,
    opened: Sequence[UpdatedDevice],
    faults: dict[str, str | None],
    rules: RolloutRules,
) -> str | None:
    """Return why the rollout halts; each open ring has a limit of its own."""
    for name in RINGS:
        begun = [each for each in opened if each.ring == name and each.state in BEGUN]
        wrong = [(each.device, why) for each in begun if (why := faults[each.device]) is not None]
        limit = rules.of(name).error_percent
        if len(wrong) * 100 > limit * max(len(begun), SAMPLE):
            named = "; ".join(f"{device}: {why}" for device, why in wrong[:MAX_NAMED])
            more = f"; and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
            return (
                f"{len(wrong)} of {len(begun)} devices of {name} have a fault after the update "
                f"(the limit is {limit} %): {named}{more}"
            )
    return None


def _decide_rollback(view: RolloutSituation, rules: RolloutRules, now_ms: int) -> RolloutDecision:
    """Open the next ring once each device of this one that is there is back, or cannot be."""
    ring = [each for each in view.devices if each.ring == view.ring]
    waiting = [
        each.device
        for each in ring
        if each.state not in ("returned", "failed", "refused")
        and not (each.heard_ms is None or now_ms - each.heard_ms > rules.silent_ms)
    ]
    if waiting:
        return RolloutDecision("stay", f"{view.ring}: {len(waiting)} devices are not back yet")
    after = following(view.ring, {each.ring for each in view.devices})
    if after is None:
        return RolloutDecision("end-rollback", "each device that answers is back")
    return RolloutDecision("open", f"{view.ring} is back; {after} goes back", after)


def _minutes(duration_ms: int) -> str:
    if duration_ms >= 60_000:
        return f"{duration_ms // 60_000} min"
    return f"{max(duration_ms, 0) // 1_000} s"
