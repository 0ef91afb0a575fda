"""Which times are plausible: an event from 1970 or 2200 comes from a wrong clock.

The edge keeps footage back while its clock is implausible. This check is for other recorders.
"""

from domain.errors import InvalidEventError
from domain.events import Detection, Event, FragmentArrived, Heartbeat, RunEnded, RunStarted
from domain.times import too_far_ahead

EARLIEST_MS = 1_420_070_400_000
"""2015-01-01: no recorder that sends these events is older."""


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
