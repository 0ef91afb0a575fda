"""What an installation knows of its own workload: measured, set by rules, or assumed.

sites, cameras                          cameras in use
Mbit/s, upload share, fragment length   chunks of the last days
days                                    retention rules
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from domain.cost.workload import Workload

DAY_MS = 86_400_000
Source = Literal["measured", "setting", "assumed", "given"]
"""`setting`: of the installation. `given`: by who asks."""


@dataclass(frozen=True, slots=True)
class CameraRecording:
    """A camera in use, and what some whole days hold of it."""

    camera: str
    days: int
    """With footage."""
    size_bytes: int
    recorded_ms: int
    fragments: int
    retention_days: int | None
    """Its rule. None: its footage is kept forever."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A workload, where each of its measured fields is from, and what a reader must know."""

    workload: Workload
    sources: dict[str, Source]
    notes: tuple[str, ...]


def measured(usual: Workload, cameras: Sequence[CameraRecording], days: int) -> Measured:
    """Return the workload of an installation. What it does not know is as in `usual`.

    `days`: how many whole days `cameras` speak of. Fields without a source are assumed.
    """
    sources: dict[str, Source] = {}
    notes: list[str] = []
    workload = usual
    if not cameras:
        notes.append("No camera is in use yet, so all of it is assumed.")
        return Measured(usual, sources, tuple(notes))
    sites = {each.camera.rpartition("/")[0] for each in cameras}
    workload = replace(workload, sites=len(sites), cameras_per_site=len(cameras) / len(sites))
    sources["sites"] = sources["cameras_per_site"] = "measured"
    recording = [each for each in cameras if each.recorded_ms and each.size_bytes]
    if recording:
        workload = _with_rates(workload, recording)
        sources |= dict.fromkeys(("mbit_s", "uploaded_share", "fragment_s"), "measured")
        notes.append(
            f"Measured: {len(recording)} of {len(cameras)} cameras, the last {days} whole days "
            "(UTC). Outages of these days count as time without upload."
        )
    else:
        notes.append(
            f"No camera has a whole day of footage of the last {days} days. So Mbit/s and the "
            "share that is uploaded are assumed."
        )
    ruled = [each.retention_days for each in cameras if each.retention_days is not None]
    if ruled:
        workload = replace(workload, retention_days=max(1, round(sum(ruled) / len(ruled))))
        sources["retention_days"] = "setting"
        if len(set(ruled)) > 1:
            notes.append("Retention is the average of all cameras with a rule.")
    if len(ruled) < len(cameras):
        forever = len(cameras) - len(ruled)
        notes.append(
            f"{forever:,} of {len(cameras):,} cameras have no retention rule: their footage is "
            f"kept forever, and its cost grows. It counts here as {workload.retention_days} days."
        )
    return Measured(workload, sources, tuple(notes))


def _with_rates(workload: Workload, recording: Sequence[CameraRecording]) -> Workload:
    """Return the workload with what chunks say, within what a workload can be."""
    size_bytes = sum(each.size_bytes for each in recording)
    recorded_ms = sum(each.recorded_ms for each in recording)
    camera_ms = sum(each.days for each in recording) * DAY_MS
    fragments = sum(each.fragments for each in recording)
    mbit_s = size_bytes * 8 / recorded_ms / 1_000
    fragment_s = recorded_ms / fragments / 1_000 if fragments else workload.fragment_s
    return replace(
        workload,
        mbit_s=_within(round(mbit_s, 3), 0.01, 200),
        uploaded_share=_within(round(recorded_ms / camera_ms, 4), 0.001, 1),
        fragment_s=_within(round(fragment_s, 1), 2, 10),
    )


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
