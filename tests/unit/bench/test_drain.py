"""What the drain bench counts and finds wrong."""

from itertools import pairwise
from pathlib import Path

from bench.backlog import fill, id_of, waiting
from bench.drain import Watch, compare
from domain.events import FragmentArrived, RunEnded
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.spool import open_spool
from harness.edge_cloud import StoredRun, StoredRuns
from harness.noise_footage import Cut

CAMERAS = ("bench/drain/cam-0", "bench/drain/cam-1")
CUTS = (Cut(0, b"G" * 1_880, 90_000, 4_000), Cut(1, b"G" * 3_760, 450_000, 2_000))
END_MS = 1_790_000_000_000


def made(count: int) -> list[FragmentArrived]:
    return [event for event, _ in waiting(CAMERAS, CUTS, count, END_MS)]


def stored_runs(events: list[FragmentArrived]) -> StoredRuns:
    found: StoredRuns = {}
    for event in events:
        found.setdefault((event.camera, event.run), StoredRun()).fragments[event.seq] = event
    return found


def test_a_backlog_is_of_all_cameras_in_turn_without_holes() -> None:
    events = made(7)
    assert [event.camera for event in events] == [CAMERAS[at % 2] for at in range(7)]
    first = [event for event in events if event.camera == CAMERAS[0]]
    assert [event.seq for event in first] == [0, 1, 2, 3]
    for before, after in pairwise(first):
        assert after.start_ms == before.end_ms
        assert after.run == before.run
    assert first[-1].end_ms == END_MS
    assert len({event.sha256 for event in events}) == 7


def test_the_spool_is_filled_by_its_own_rules(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "bench", SpoolLimits(free_floor_bytes=0, free_floor_s=0))
    events = fill(spool, waiting(CAMERAS, CUTS, 5, END_MS), "bench")
    assert {row.id for row in spool.waiting(10)} == {id_of(event) for event in events}
    assert spool.counts().runs_ending == 2
    spool.close()


def test_what_is_lost_changed_unknown_or_given_up_is_reported() -> None:
    events = made(4)
    given = {id_of(event): event for event in events}
    assert compare(given, stored_runs(events)) == []
    assert "lost" in compare(given, stored_runs(events[1:]))[0]
    other = events[0].model_copy(update={"sha256": "0" * 64})
    assert "other bytes" in compare(given, stored_runs([other, *events[1:]]))[0]
    unknown = compare({id_of(events[0]): events[0]}, stored_runs(events))
    assert len(unknown) == 3
    assert all("never recorded" in fault for fault in unknown)
    found = stored_runs(events)
    of = (events[0].camera, events[0].run)
    found[of].end = RunEnded(
        camera=of[0], run=of[1], ended_ms=END_MS, last_seq=2, reason="x", given_up=[(2, 2)]
    )
    assert "gave up" in compare(given, found)[0]
    assert compare({}, {}) == ["nothing was recorded"]


def test_live_waits_are_kept_apart_by_when_the_backlog_was_up() -> None:
    first, second, third, _ = made(4)
    watch = Watch(live={id_of(event): event for event in (first, second, third)})
    watch.drained_ms = second.closed_ms + 1
    assert first.closed_ms == second.closed_ms < third.closed_ms
    watch.uploaded_ms = {
        id_of(first): first.closed_ms + 700,
        id_of(second): watch.drained_ms + 5_000,  # closed before, in S3 after
        id_of(third): third.closed_ms + 300,
    }
    assert watch.waits() == ([700.0, 5_001.0], [300.0])


def test_a_fragment_is_seen_once_however_often_it_is_uploaded(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "bench", SpoolLimits(free_floor_bytes=0, free_floor_s=0))
    events = fill(spool, waiting(CAMERAS, CUTS, 2, END_MS), "bench")
    watch = Watch(backlog={id_of(event): event for event in events}, left=2)
    watch.follow_uploads(spool)
    one, other = (id_of(event) for event in events)
    spool.uploaded(one)
    spool.uploaded(one)
    assert (watch.left, watch.drained_ms) == (1, 0)
    spool.uploaded(other)
    assert watch.left == 0
    assert watch.drained_ms > 0
    assert set(watch.uploaded_ms) == {one, other}
    spool.close()
