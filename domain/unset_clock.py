"""When a device's clock is plainly wrong, and how footage of that time gets its true time later.

While the wall clock is plainly wrong, times are provisional. They are ms on the device's steady
clock, which counts from its boot and never steps. Provisional times are within ten years of 1970,
and true times are not. So each time shows which of the two it is.

    steady   0 ──── run A ────────────┬─────────── run B ───►
    wall     1970, wrong              │ 2026, right: shift = wall - steady, fixed for this start
    A's id and times: provisional     └ undated events: + shift, once; sent with A's true id

A run's id contains its time and ends with the mark of the device's boot. The true id differs
only in its time, so that the shift can be applied twice without harm. See docs/design/time.md.
"""

from typing import TypeVar, cast

from domain.events import Detection, FragmentArrived, RunStarted
from domain.identity import new_run_id, run_started_ms

EARLIEST_MS = 1_767_225_600_000
"""2026-01-01: this program did not exist before. Later releases raise it."""
LATEST_MS = EARLIEST_MS + 30 * 365 * 86_400_000
PROVISIONAL_BELOW_MS = 10 * 365 * 86_400_000
FIRST_TRUE_RUN = new_run_id(PROVISIONAL_BELOW_MS, bytes(10))
"""Ids of provisional runs sort before it; all others do not."""
BOOT_BYTES = 4

UndatedEvent = TypeVar("UndatedEvent", bound=FragmentArrived | RunStarted | Detection)


def plainly_wrong(wall_ms: int) -> bool:
    """Return whether a clock shows a time before the program was made, or far after."""
    return not EARLIEST_MS <= wall_ms < LATEST_MS


def now_ms(wall_ms: int, steady_ms: int) -> int:
    """Return the time to use: UTC, or provisional while the wall clock is plainly wrong."""
    return min(max(steady_ms, 0), PROVISIONAL_BELOW_MS - 1) if plainly_wrong(wall_ms) else wall_ms


def is_provisional(ms: int) -> bool:
    """Return whether a time is on the steady clock."""
    return ms < PROVISIONAL_BELOW_MS


def is_undated(run: str) -> bool:
    """Return whether a run started at a provisional time."""
    return run < FIRST_TRUE_RUN


def boot_mark_of(run: str) -> str:
    """Return the mark of the boot in which a provisional run started, 8 hex digits."""
    return run[-2 * BOOT_BYTES :]


def true_ms(ms: int, shift_ms: int) -> int:
    """Return a time as UTC: a provisional one is shifted, others stay."""
    return ms + shift_ms if is_provisional(ms) else ms


def true_run(run: str, shift_ms: int) -> str:
    """Return a run's id with its true time; the rest of it stays."""
    if not is_undated(run):
        return run
    value = int(run.replace("-", ""), 16)
    rest = (value & ((1 << 80) - 1)).to_bytes(10, "big")
    return new_run_id(run_started_ms(run) + shift_ms, rest)


def with_true_time(event: UndatedEvent, shift_ms: int) -> UndatedEvent:
    """Return an undated event with its run's true id and true times."""
    return cast(UndatedEvent, event.model_copy(update=_changes(event, shift_ms)))


def _changes(event: FragmentArrived | RunStarted | Detection, shift_ms: int) -> dict[str, object]:
    run = {"run": true_run(event.run, shift_ms)}
    if isinstance(event, Detection):
        frames = [
            frame.model_copy(update={"at_ms": true_ms(frame.at_ms, shift_ms)})
            for frame in event.frames
        ]
        return {**run, "frames": frames}
    if isinstance(event, RunStarted):
        return {**run, "started_ms": true_ms(event.started_ms, shift_ms)}
    return {
        **run,
        "start_ms": true_ms(event.start_ms, shift_ms),
        "arrived_ms": true_ms(event.arrived_ms, shift_ms),
        "closed_ms": true_ms(event.closed_ms, shift_ms),
    }
