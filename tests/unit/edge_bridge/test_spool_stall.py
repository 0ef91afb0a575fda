"""A disk that hangs: what fits in memory is stored later, and the rest is a gap with its reason."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from domain.identity import new_run_id
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.rows import EndState, FragmentState
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from tests.unit.edge_bridge.material import T0_MS, ObservedSpoolThread, fragment, started

UNIT = 4_000
GATE, LOBBY, YARD = (f"acme/berlin/{name}" for name in ("gate", "lobby", "yard"))
RUNS = {
    camera: new_run_id(T0_MS, bytes([place] * 10))
    for place, camera in enumerate((GATE, LOBBY, YARD))
}
SIZES = {GATE: UNIT, LOBBY: UNIT // 4, YARD: UNIT}


class GatedDisk:
    """A disk that answers while its gate is open. It reads the journal after each row."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.hangs = threading.Event()
        self.owner: ObservedSpoolThread | None = None
        self.holes: list[str] = []

    def step(self, name: str) -> None:
        if name == "row written" and self.owner is not None:
            self._check(self.owner)
        if not self._open.is_set():
            self.hangs.set()
            assert self._open.wait(60)

    def hang(self) -> None:
        self.hangs.clear()
        self._open.clear()

    def answer(self) -> None:
        self._open.set()

    def _check(self, owner: ObservedSpoolThread) -> None:
        """A kill -9 now must not leave a fragment missing without a word."""
        for run in RUNS.values():
            seqs = [one.seq for one, _, _ in owner.spool.journal.rows_of_run(run)]
            if seqs != list(range(len(seqs))):
                self.holes.append(f"{run}: {seqs}")


@contextlib.contextmanager
def on_gated_disk(folder: Path, limits: SpoolLimits) -> Iterator[tuple[SpoolThread, GatedDisk]]:
    disk = GatedDisk()
    owner = ObservedSpoolThread(lambda: open_spool(folder, "e1", limits, step=disk.step))
    disk.owner = owner
    try:
        yield owner, disk
    finally:
        disk.answer()
        owner.close()
    assert disk.holes == []


def limits(units: float, priorities: Mapping[str, int] | None = None) -> SpoolLimits:
    return SpoolLimits(
        max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0, priorities=priorities or {},
        pending_max_bytes=int(units * UNIT),
    )  # fmt: skip


def film(owner: SpoolThread, camera: str, seq: int, pieces: int = 0) -> None:
    run = RUNS[camera]
    event, data = fragment(seq, run=run, size=SIZES[camera], camera=camera)
    for number in range(pieces):
        owner.piece(camera, run, seq, data[number * 100 : number * 100 + 100])
    owner.fragment(event, data[pieces * 100 :], started(run, camera))


async def outcome(owner: ObservedSpoolThread) -> dict[str, str]:
    """Per camera, in order: ▓ stored and whole, `.` given up, anything else missing."""
    await owner.call(lambda _: None)
    drawn = {}
    for camera, run in RUNS.items():
        marks = {}
        for one, state, size in owner.spool.journal.rows_of_run(run):
            if state is FragmentState.GIVEN_UP:
                marks[one.seq] = "."
                continue
            event, data = fragment(one.seq, run=run, size=SIZES[camera], camera=camera)
            assert owner.spool.files.inspect(owner.spool.files.path(camera, run, one.seq)) == event
            assert owner.spool.files.read(camera, run, one.seq, size) == data
            marks[one.seq] = "▓"
        drawn[camera.rsplit("/", 1)[-1]] = "".join(
            marks.get(seq, "?") for seq in range(max(marks, default=-1) + 1)
        )
    return drawn


def stall(owner: SpoolThread, disk: GatedDisk, rounds: int, pieces: int = 0) -> None:
    """The disk hangs while gate's 0 is written; then so many fragments of each camera come."""
    disk.hang()
    film(owner, GATE, 0)
    assert disk.hangs.wait(60)
    for seq in range(rounds):
        for camera in RUNS:
            if (camera, seq) != (GATE, 0):
                film(owner, camera, seq, pieces)
            pending = owner._pending
            assert pending.total_bytes <= pending._limits.pending_max_bytes


@pytest.mark.parametrize("pieces", [0, 3])
async def test_what_fits_in_memory_is_stored_when_the_disk_answers(
    pieces: int, tmp_path: Path
) -> None:
    with on_gated_disk(tmp_path, limits(10 * 2.25)) as (owner, disk):
        stall(owner, disk, 10, pieces)
        disk.answer()
        assert await outcome(owner) == {"gate": "▓" * 10, "lobby": "▓" * 10, "yard": "▓" * 10}
        assert read_losses(tmp_path) == []


@pytest.mark.parametrize("pieces", [0, 3])
async def test_each_camera_loses_its_fair_share_of_the_oldest(pieces: int, tmp_path: Path) -> None:
    # Memory: 12 of the 22.5 units that come. Lobby needs 2.5; gate and yard share the rest. The
    # fragment that is being written when the disk hangs is gate's, and counts for it.
    with on_gated_disk(tmp_path, limits(12)) as (owner, disk):
        stall(owner, disk, 10, pieces)
        disk.answer()
        assert await outcome(owner) == {
            "gate": "▓.....▓▓▓▓",
            "lobby": "▓▓▓▓▓▓▓▓▓▓",
            "yard": "......▓▓▓▓",
        }
        for camera, run in RUNS.items():  # afterwards all goes on
            film(owner, camera, 10, pieces)
            owner.end_run(run, T0_MS + 44_000, "camera closed")
        drawn = await outcome(owner)
        assert {line[-5:] for line in drawn.values()} == {"▓▓▓▓▓"}
        losses = {one.camera: one for one in read_losses(tmp_path)}
        assert {
            camera: (one.first_seq, one.last_seq, one.why, one.from_ms, one.to_ms)
            for camera, one in losses.items()
        } == {
            GATE: (1, 5, "disk too slow", T0_MS + 4_000, T0_MS + 24_000),
            YARD: (0, 5, "disk too slow", T0_MS, T0_MS + 24_000),
        }
        ended = {run.camera: run for run in owner.spool.journal.runs(EndState.ENDED)}
        given_up = {
            camera: list(owner.spool.journal.given_up(run.run).ranges)
            for camera, run in ended.items()
        }
        assert given_up == {GATE: [(1, 5)], LOBBY: [], YARD: [(0, 5)]}
        assert owner._pending.total_bytes == 0


async def test_a_camera_of_a_low_priority_loses_first(tmp_path: Path) -> None:
    with on_gated_disk(tmp_path, limits(12, {LOBBY: 1, YARD: 2})) as (owner, disk):
        stall(owner, disk, 10)
        disk.answer()
        assert await outcome(owner) == {
            "gate": "▓▓▓▓▓▓▓▓▓▓",
            "lobby": "..........",
            "yard": "........▓▓",
        }


async def test_what_is_begun_in_its_file_is_given_up_last(tmp_path: Path) -> None:
    #  gate  0 ▓ 1 begun: 3 units in its file │ the disk hangs │ the rest of 1, 2, 3, 4 …
    with on_gated_disk(tmp_path, limits(3)) as (owner, disk):
        film(owner, GATE, 0)
        event, data = fragment(1, run=RUNS[GATE], size=UNIT, camera=GATE)
        owner.piece(GATE, RUNS[GATE], 1, data[: UNIT - 100])
        await outcome(owner)
        disk.hang()
        film(owner, YARD, 0)
        assert disk.hangs.wait(60)
        owner.fragment(event, data[UNIT - 100 :], started(RUNS[GATE], GATE))
        for seq in range(2, 6):
            film(owner, GATE, seq)
        disk.answer()
        assert await outcome(owner) == {"gate": "▓▓...▓", "lobby": "", "yard": "▓"}


async def test_an_open_fragment_that_alone_is_too_large_is_given_up(tmp_path: Path) -> None:
    with on_gated_disk(tmp_path, limits(2)) as (owner, disk):
        run = RUNS[YARD]
        event, data = fragment(0, run=run, size=4 * UNIT, camera=YARD)
        owner.piece(YARD, run, 0, data[:10])
        await outcome(owner)
        disk.hang()
        film(owner, GATE, 0)
        assert disk.hangs.wait(60)
        for begin in range(10, 3 * UNIT, 500):
            owner.piece(YARD, run, 0, data[begin : begin + 500])
            assert owner._pending.total_bytes <= 2 * UNIT
        disk.answer()
        await owner.call(lambda _: None)
        assert len(owner.spool._opener.parts) == 0, "its file is gone before it closes"
        owner.fragment(event, data[3 * UNIT :], started(run, YARD))
        film(owner, YARD, 1)
        assert await outcome(owner) == {"gate": "▓", "lobby": "", "yard": ".▓"}
        (loss,) = read_losses(tmp_path)
        assert (loss.camera, loss.why) == (YARD, "disk too slow")


async def test_a_smaller_limit_holds_at_once(tmp_path: Path) -> None:
    with on_gated_disk(tmp_path, limits(100)) as (owner, disk):
        stall(owner, disk, 6)
        owner.set_limits(limits(4))
        assert owner._pending.total_bytes <= 4 * UNIT
        disk.answer()
        assert await outcome(owner) == {"gate": "▓....▓", "lobby": "..▓▓▓▓", "yard": ".....▓"}
        assert [one.why for one in read_losses(tmp_path)] == ["disk too slow"] * 3


async def test_a_hanging_disk_keeps_nothing_of_what_is_given_up(tmp_path: Path) -> None:
    """A stall of hours: neither queued calls nor ranges grow with the fragments."""
    with on_gated_disk(tmp_path, limits(4)) as (owner, disk):
        stall(owner, disk, 500)
        assert owner._thread._work_queue.qsize() < 50
        assert sum(len(run.ranges) for run in owner._unwritten._runs.values()) <= 3
        disk.answer()
        drawn = await outcome(owner)
        assert {len(line) for line in drawn.values()} == {500}
        assert all(line.endswith("▓") and "?" not in line for line in drawn.values())


async def test_a_loss_is_recorded_before_the_footage_that_follows_it(tmp_path: Path) -> None:
    with on_gated_disk(tmp_path, limits(3)) as (owner, disk):
        disk.hang()
        film(owner, GATE, 0)
        assert disk.hangs.wait(60)
        for seq in (1, 2):
            film(owner, GATE, seq)
        take, more = owner._pending.take, iter((3, 4))

        def take_after_more() -> object:
            for seq in more:  # just before 1 would be written, it is given up
                film(owner, GATE, seq)
            return take()

        owner._pending.take = take_after_more  # type: ignore[method-assign, assignment]
        disk.answer()
        await outcome(owner)  # 4 came after this call
        assert await outcome(owner) == {"gate": "▓.▓▓▓", "lobby": "", "yard": ""}
