"""Who is behind the fleet, and why: in words, for the page and the command."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.fleet.device_update import DeviceProgress, RolloutTarget, wanted_release
from domain.fleet.maintenance import may_begin, window_text
from domain.fleet.messages import ENDED
from domain.fleet.release import FleetRelease
from domain.site_file.model import MaintenanceWindow

SILENT_MS = 600_000
"""An agent that reported nothing for so long is named as away."""


@dataclass(frozen=True, slots=True)
class SiteUpdatePolicy:
    """How the devices of a site are updated."""

    window: MaintenanceWindow | None
    zone: str
    lock: str | None


@dataclass(frozen=True, slots=True)
class DeviceSituation:
    """What is known of one device."""

    progress: DeviceProgress | None
    """None: it is not in the rollout yet."""
    running: int | None
    """The release that it runs."""
    policy: SiteUpdatePolicy
    reported_ms: int | None
    """UTC ms of its agent's newest report; None: there was none."""


def why_behind(
    device: DeviceSituation,
    rollout: RolloutTarget | None,
    usable: Mapping[int, FleetRelease],
    now_ms: int,
) -> str | None:
    """Return why a device does not run the rollout's release; None: it does, or there is none."""
    progress, running, policy = device.progress, device.running, device.policy
    reported_ms = device.reported_ms
    if rollout is None or running == rollout.release:
        return None
    if rollout.state == "rolling-back":
        return None
    if reported_ms is None:
        return "it has no update agent, or the agent never answered"
    if progress is None:
        return "it gets its ring within a minute"
    choice = wanted_release(progress, rollout, running, usable)
    if progress.state in ENDED and progress.state != "succeeded":
        return f"{progress.state}: {progress.reason}" if progress.reason else progress.state
    if now_ms - reported_ms > SILENT_MS:
        return f"its update agent has been silent for {(now_ms - reported_ms) // 60_000} min"
    if choice.release is None:
        return choice.reason or None
    if policy.lock is not None:
        return f"updates of its site are locked: {policy.lock}"
    if progress.state in ("pending", "waiting", "downloading") and not may_begin(
        policy.window, policy.zone, now_ms
    ):
        assert policy.window is not None  # without one, it may always begin
        return f"it waits for its maintenance window: {window_text(policy.window, policy.zone)}"
    return f"{progress.state}: {progress.reason}" if progress.reason else progress.state
