"""A spool with much that waits, made at once: as after an outage, by the spool's own code."""

import os
from collections.abc import Iterator, Sequence

from domain.events import FragmentArrived, RunStarted
from domain.identity import FragmentId, new_run_id
from edge_bridge.spool.spool import Spool
from harness.footage import fragment_event
from harness.noise_footage import FPS, HEIGHT, WIDTH, Cut

_TICKS_MS = 90


def waiting(
    cameras: Sequence[str], cuts: Sequence[Cut], count: int, end_ms: int
) -> Iterator[tuple[FragmentArrived, bytes]]:
    """Yield `count` fragments of the cameras in turn, one run each, in order of time.

    `end_ms`: UTC, about when the last ones end. The bytes are those of `cuts`, again and again,
    each with its own name in them.
    """
    each = -(-count // len(cameras))
    lasting = sum(cuts[seq % len(cuts)].duration_ms for seq in range(each))
    begin_ms = end_ms - lasting
    runs = {camera: new_run_id(begin_ms, os.urandom(10)) for camera in cameras}
    start_ms, pts = begin_ms, 90_000
    made = 0
    for seq in range(each):
        cut = cuts[seq % len(cuts)]
        for camera in cameras[: count - made]:
            yield _fragment(FragmentId(camera, runs[camera], seq), cut, start_ms, pts)
            made += 1
        start_ms, pts = start_ms + cut.duration_ms, pts + cut.duration_ms * _TICKS_MS


def fill(
    spool: Spool, fragments: Iterator[tuple[FragmentArrived, bytes]], edge: str
) -> list[FragmentArrived]:
    """Store fragments one after the other, then end their runs; return what was stored."""
    last: dict[str, FragmentArrived] = {}
    events = []
    for event, data in fragments:
        started = RunStarted(
            camera=event.camera, run=event.run, started_ms=event.start_ms, edge=edge
        )
        spool.store(event, data, started)
        events.append(event)
        last[event.run] = event
    for run, event in last.items():
        spool.end_run(run, event.end_ms, "edge stopped")
    return events


def id_of(event: FragmentArrived) -> FragmentId:
    """Return the fragment that an event is about."""
    return FragmentId(event.camera, event.run, event.seq)


def _fragment(one: FragmentId, cut: Cut, start_ms: int, pts: int) -> tuple[FragmentArrived, bytes]:
    frames = max(cut.duration_ms * FPS // 1_000, 1)
    return fragment_event(
        one,
        cut.data,
        start_ms=start_ms,
        duration_ms=cut.duration_ms,
        pts=pts,
        frames=frames,
        size=(WIDTH, HEIGHT),
    )
