"""Events for tests, made with little writing."""

from typing import Any

from domain.events import CameraConfigured, FragmentArrived, FragmentRef, RunEnded, WindowsFrom
from domain.identity import new_run_id
from domain.window_lengths import WindowLengths

CAMERA = "acme/berlin/gate-1"
T0_MS = 1_800_000_000_000
"""A whole multiple of every window length used in these tests."""
FRAGMENT_MS = 4_000


def run_id(number: int = 0, started_ms: int = T0_MS) -> str:
    """Return the run id with this number, started at this time."""
    return new_run_id(started_ms, number.to_bytes(10, "big"))


RUN = run_id()


def fragment(
    seq: int,
    *,
    run: str = RUN,
    start_ms: int | None = None,
    duration_ms: int = FRAGMENT_MS,
    **changes: Any,
) -> FragmentArrived:
    """Return the notice of a fragment; by default all are 4 s long and adjoin from T0_MS on."""
    begin_ms = T0_MS + seq * duration_ms if start_ms is None else start_ms
    fields: dict[str, Any] = {
        "camera": CAMERA,
        "run": run,
        "seq": seq,
        "start_ms": begin_ms,
        "duration_ms": duration_ms,
        "start_pts": (begin_ms - T0_MS) * 90,
        "arrived_ms": begin_ms + 20,
        "closed_ms": begin_ms + duration_ms + 20,
        "frames": duration_ms // 40 or 1,
        "size_bytes": 188 * (seq + 1),
        "sha256": f"{seq:064x}",
        "video_codec": "h264",
        "width": 768,
        "height": 576,
    }
    return FragmentArrived(**(fields | changes))


def ref(seq: int, **changes: Any) -> FragmentRef:
    """Return the same fragment as a chunk's order names it."""
    return FragmentRef.of(fragment(seq, **changes))


def run_ended(
    last_seq: int,
    *,
    run: str = RUN,
    ended_ms: int | None = None,
    given_up: list[tuple[int, int]] | None = None,
    reason: str = "the camera closed the connection",
) -> RunEnded:
    """Return a run's end; by default at the end of its last fragment."""
    return RunEnded(
        camera=CAMERA,
        run=run,
        ended_ms=T0_MS + (last_seq + 1) * FRAGMENT_MS if ended_ms is None else ended_ms,
        last_seq=last_seq,
        reason=reason,
        given_up=given_up or [],
    )


def configured(lengths: WindowLengths, changed_ms: int = T0_MS, **waits: int) -> CameraConfigured:
    """Return the word to a camera that its windows have these lengths."""
    return CameraConfigured(
        camera=CAMERA,
        windows=[
            WindowsFrom(from_ms=from_ms, window_ms=window_ms)
            for from_ms, window_ms in lengths.steps
        ],
        changed_ms=changed_ms,
        **waits,
    )
