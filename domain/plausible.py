"""Which times, sizes and rates are plausible: an event from 1970 or 2200 has a wrong clock.

The edge keeps footage back while its clock is implausible. This check is for other recorders, and
for senders that lie.
"""

from domain.errors import InvalidEventError
from domain.events import Detection, Event, FragmentArrived, Heartbeat, RunEnded, RunStarted
from domain.times import too_far_ahead

EARLIEST_MS = 1_420_070_400_000
"""2015-01-01: no recorder that sends these events is older."""


MAX_FRAGMENT_BYTES = 128 << 20
"""Our recorder ends a fragment at 96 MiB. Who reads one has it in memory."""
MAX_PICTURE_PIXELS = 8192 * 8192
MAX_FRAMES_PER_S = 1_000


def times_of(event: Event) -> tuple[tuple[str, int], ...]:
    """Return the field and value (UTC, ms) of the times in an event, oldest first."""
    match event:
        case FragmentArrived():
            return (("start_ms", event.start_ms),)
        case RunStarted():
            return (("started_ms", event.started_ms),)
        case RunEnded():
            return (("ended_ms", event.ended_ms),)
        case Detection():
            return tuple(sorted(("frames.at_ms", each.at_ms) for each in event.frames))
        case Heartbeat():
            return (("sent_ms", event.sent_ms),)
    return ()


def event_time_ms(event: Event) -> int | None:
    """Return the newest time in an event (UTC, ms), or None if it has none."""
    times = times_of(event)
    return times[-1][1] if times else None


def event_fault(event: Event, now_ms: int) -> str | None:
    """Return what is implausible in an event that arrived at `now_ms`, or None."""
    try:
        check_event(event, now_ms)
    except InvalidEventError as error:
        return str(error)
    return None


def check_event(event: Event, now_ms: int) -> None:
    """Raise InvalidEventError if a time, size or rate in an event is implausible."""
    check_times(event, now_ms)
    if isinstance(event, FragmentArrived):
        _check_fragment(event, now_ms)


def _check_fragment(event: FragmentArrived, now_ms: int) -> None:
    if too_far_ahead(event.end_ms, now_ms):
        fault = f"duration_ms: it ends at {event.end_ms}, more than 5 minutes in the future"
    elif event.size_bytes > MAX_FRAGMENT_BYTES:
        fault = f"size_bytes: {event.size_bytes} is more than {MAX_FRAGMENT_BYTES >> 20} MiB"
    elif event.width * event.height > MAX_PICTURE_PIXELS:
        fault = f"width, height: {event.width} x {event.height} is larger than 8192 x 8192"
    elif event.frames * 1_000 > MAX_FRAMES_PER_S * max(event.duration_ms, 1_000):
        fault = f"frames: {event.frames} in {event.duration_ms} ms are more than 1,000 a second"
    else:
        return
    raise InvalidEventError(f"{fault}. Check what records {event.key}.")


def check_times(event: Event, now_ms: int) -> None:
    """Raise InvalidEventError if a time in an event is implausible; it arrived at `now_ms`."""
    for field, at_ms in times_of(event):
        if at_ms < EARLIEST_MS:
            fault = "is before 2015"
        elif too_far_ahead(at_ms, now_ms):
            fault = "is more than 5 minutes in the future"
        else:
            continue
        raise InvalidEventError(
            f"{field}: {at_ms} {fault}. Set the clock of the device that records {event.key}, then "
            "restart its recording."
        )
