"""Fragments that grow in their files: each is whole, or absent with a reason."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.identity import FragmentId
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.rows import EndState, FragmentState
from edge_bridge.spool.spool import ClosedFragment, Spool, open_spool
from tests.unit.edge_bridge.material import (
    CAMERA,
    RUN,
    SECOND_RUN,
    T0_MS,
    ObservedSpoolThread,
    fragment,
    started,
)

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0)
SIZE = 5_000
STEPS = [
    "piece written", "written in part", "written", "synced", "renamed", "folder synced",
    "row written",
]  # fmt: skip


class CrashError(BaseException):
    """The process is gone at this very point."""


def crash_at(name: str) -> Callable[[str], None]:
    def step(now: str) -> None:
        if now == name:
            raise CrashError(name)

    return step


def opened(folder: Path, **options: object) -> Spool:
    return open_spool(folder, "e1", PLENTY, **options)  # type: ignore[arg-type]


def cut(data: bytes, pieces: int) -> list[bytes]:
    """Cut bytes into so many pieces and a rest, all of them different in size."""
    ends = [len(data) * (number + 1) // (pieces + 1) + number for number in range(pieces)]
    begins = [0, *ends]
    return [data[begin:end] for begin, end in zip(begins, [*ends, len(data)], strict=True)]


def grow(spool: Spool, seq: int, pieces: int = 3, run: str = RUN) -> bool:
    event, data = fragment(seq, run=run, size=SIZE)
    *parts, rest = cut(data, pieces)
    at = 0
    for part in parts:
        spool.append(FragmentId(CAMERA, run, seq), [part], at)
        at += len(part)
    return spool.store(event, rest, started(run))


def film(owner: ObservedSpoolThread, seq: int, pieces: int = 3, run: str = RUN) -> None:
    event, data = fragment(seq, run=run, size=SIZE)
    *parts, rest = cut(data, pieces)
    for part in parts:
        owner.piece(CAMERA, run, seq, part)
    owner.fragment(event, rest, started(run))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "fragments").rglob("*") if path.is_file())


def states(spool: Spool) -> dict[int, FragmentState]:
    return {one.seq: state for one, state, _ in spool.journal.all_fragments()}


def are_whole(spool: Spool) -> bool:
    """Whether each stored fragment is whole, and no other file is there."""
    stored = spool.waiting(1_000)
    for row in stored:
        event, data = fragment(row.seq, run=row.run, size=SIZE)
        assert spool.files.inspect(spool.files.path(row.camera, row.run, row.seq)) == event
        assert spool.files.read(row.camera, row.run, row.seq, row.size) == data
    root = spool.files.root
    return sorted(path.name for path in root.rglob("*") if path.is_file()) == sorted(
        f"{row.seq:08d}.frag" for row in stored
    )


def open_handles(folder: Path) -> list[str]:
    """The part files that this process has open below a folder."""
    links = [Path(entry.path) for entry in os.scandir("/proc/self/fd")]
    found = []
    for link in links:
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(folder)) and ".part" in target:
            found.append(target)
    return found


async def settled(owner: ObservedSpoolThread) -> None:
    await owner.call(lambda _: None)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[ObservedSpoolThread]:
    made = ObservedSpoolThread(lambda: opened(tmp_path))
    yield made
    made.close()


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_while_a_fragment_grows_loses_only_that(step: str, tmp_path: Path) -> None:
    spool = opened(tmp_path)
    grow(spool, 0)
    spool.close()
    spool = opened(tmp_path, step=crash_at(step))
    with pytest.raises(CrashError):
        grow(spool, 1)
    spool.close()

    kept = [0, 1] if STEPS.index(step) >= STEPS.index("renamed") else [0]
    for _ in range(2):  # a second recovery changes nothing
        spool = opened(tmp_path)
        assert states(spool) == dict.fromkeys(kept, FragmentState.STORED)
        assert are_whole(spool)
        spool.close()


def test_fragments_that_close_together_share_one_transaction(tmp_path: Path) -> None:
    steps: list[str] = []
    spool = opened(tmp_path, step=steps.append)
    closed = []
    for seq in range(4):
        run = RUN if seq < 3 else SECOND_RUN
        event, data = fragment(seq, run=run, size=SIZE)
        spool.append(FragmentId(CAMERA, run, seq), [data[:99]], 0)
        closed.append(ClosedFragment(event, [data[99:]], started(run)))
    steps.clear()
    assert spool.store_all(closed) == []
    # All files are durable under their names before the first row says so.
    assert steps == ["written in part", "written", "synced", "renamed"] * 4 + [
        "folder synced", "row written",
    ]  # fmt: skip
    assert are_whole(spool)
    spool.close()


@pytest.mark.parametrize("step", ["synced", "renamed", "folder synced", "row written"])
def test_a_crash_while_several_close_keeps_those_that_are_renamed(
    step: str, tmp_path: Path
) -> None:
    spool = opened(tmp_path, step=crash_at(step))
    closed = []
    for seq in range(3):
        event, data = fragment(seq, size=SIZE)
        closed.append(ClosedFragment(event, [data], started()))
    with pytest.raises(CrashError):
        spool.store_all(closed)
    spool.close()
    spool = opened(tmp_path)
    kept = {"synced": 0, "renamed": 1}.get(step, 3)
    assert states(spool) == dict.fromkeys(range(kept), FragmentState.STORED)
    assert are_whole(spool)
    spool.close()


async def test_pieces_and_rest_are_one_fragment(owner: ObservedSpoolThread, tmp_path: Path) -> None:
    for seq in range(6):
        film(owner, seq, pieces=seq)  # 0: all at once
    await settled(owner)
    assert states(owner.spool) == dict.fromkeys(range(6), FragmentState.STORED)
    assert are_whole(owner.spool)
    assert open_handles(tmp_path) == []
    assert owner._pending.total_bytes == 0


async def test_recovery_leaves_what_grows_and_deletes_what_a_crash_left(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append(FragmentId(CAMERA, RUN, 7), [b"left by a crash"], 0)
    spool.close()
    owner = ObservedSpoolThread(lambda: opened(tmp_path, background_recovery=True))
    event, data = fragment(0, run=SECOND_RUN, size=SIZE)
    owner.piece(CAMERA, SECOND_RUN, 0, data[:1_000])
    await settled(owner)
    owner.spool.recover(60)
    assert names(tmp_path) == ["00000000.part"]
    owner.fragment(event, data[1_000:], started(SECOND_RUN))
    await settled(owner)
    assert are_whole(owner.spool)
    owner.close()


async def test_what_is_never_completed_leaves_neither_file_nor_handle(
    owner: ObservedSpoolThread, tmp_path: Path
) -> None:
    for seq in range(3):
        owner.piece(CAMERA, RUN, seq, b"x" * 1_000)
    await settled(owner)
    assert len(open_handles(tmp_path)) == 3
    owner.discard(CAMERA, RUN, 1)
    owner.discard(CAMERA, RUN, 99)  # never heard of
    await settled(owner)
    assert names(tmp_path) == ["00000000.part", "00000002.part"]
    owner.end_run(RUN, T0_MS, "camera closed")
    await settled(owner)
    assert names(tmp_path) == []
    # A recorder that fails again and again, without a word, leaves a few at most.
    for seq in range(50):
        owner.piece(CAMERA, RUN, seq, b"x" * 1_000)
        if seq % 7 == 0:
            await settled(owner)
    await settled(owner)
    assert names(tmp_path) == [f"{seq:08d}.part" for seq in range(46, 50)]
    assert len(open_handles(tmp_path)) == 4
    film(owner, 1)  # it may begin again
    await settled(owner)
    assert states(owner.spool) == {1: FragmentState.STORED}


async def test_a_fragment_of_another_size_than_its_event_is_given_up(
    owner: ObservedSpoolThread, tmp_path: Path
) -> None:
    event, data = fragment(0, size=SIZE)
    owner.piece(CAMERA, RUN, 0, data[:100])
    owner.fragment(event, data[101:], started())
    film(owner, 1)
    await settled(owner)
    # Something else writes into the part file.
    event, data = fragment(2, size=SIZE)
    owner.piece(CAMERA, RUN, 2, data[:100])
    await settled(owner)
    with owner.spool.files.path(CAMERA, RUN, 2).with_suffix(".part").open("r+b") as file:
        file.truncate(SIZE * 10)
    owner.fragment(event, data[100:], started())
    await settled(owner)
    assert states(owner.spool) == {
        0: FragmentState.GIVEN_UP, 1: FragmentState.STORED, 2: FragmentState.GIVEN_UP,
    }  # fmt: skip
    assert [(one.first_seq, one.why) for one in read_losses(tmp_path)] == [
        (0, "damaged"), (2, "damaged"),
    ]  # fmt: skip
    assert are_whole(owner.spool)
    assert open_handles(tmp_path) == []


class FaultyDisk:
    """A disk that fails while `code` is set, half-way through each write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code = 0
        self._pwritev, self._fsync = os.pwritev, os.fsync
        monkeypatch.setattr(os, "pwritev", self.pwritev)
        monkeypatch.setattr(os, "fsync", self.fsync)

    def pwritev(self, handle: int, buffers: list[memoryview], at: int) -> int:
        if self.code and at:
            raise OSError(self.code, os.strerror(self.code))
        done = self._pwritev(handle, [buffers[0][: max(1, len(buffers[0]) // 2)]], at)
        if self.code:
            raise OSError(self.code, os.strerror(self.code))
        return done

    def fsync(self, handle: int) -> None:
        if self.code:
            raise OSError(self.code, os.strerror(self.code))
        self._fsync(handle)


@pytest.fixture(autouse=True)
def _probe_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_bridge.spool.thread._PROBE_EVERY_S", 0.0)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_a_fault_between_two_pieces_costs_nothing(
    code: int, owner: ObservedSpoolThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FaultyDisk(monkeypatch)
    event, data = fragment(0, size=SIZE)
    for begin in range(0, 4_000, 1_000):
        disk.code = code if begin in (0, 2_000) else 0
        owner.piece(CAMERA, RUN, 0, data[begin : begin + 1_000])
        owner.piece("acme/berlin/yard", SECOND_RUN, 0, data[begin : begin + 1_000])
        await _done(owner)
    owner.fragment(event, data[4_000:], started())
    other = fragment(0, run=SECOND_RUN, size=SIZE, camera="acme/berlin/yard")[0]
    same = {"size_bytes": event.size_bytes, "sha256": event.sha256}
    owner.fragment(
        other.model_copy(update=same), data[4_000:], started(SECOND_RUN, "acme/berlin/yard")
    )
    await settled(owner)
    assert owner.status().disk == "good"
    assert read_losses(tmp_path) == []
    assert len(owner.spool.waiting(10)) == 2
    for row in owner.spool.waiting(10):
        owner.spool.files.inspect(owner.spool.files.path(row.camera, row.run, row.seq))
    assert open_handles(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EIO, "disk failing"),
        (errno.EROFS, "disk read-only"),
    ],
)
async def test_a_fault_at_the_end_gives_the_fragment_up(
    code: int,
    why: str,
    owner: ObservedSpoolThread,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = FaultyDisk(monkeypatch)
    event, data = fragment(0, size=SIZE)
    owner.piece(CAMERA, RUN, 0, data[:1_000])
    owner.piece(CAMERA, RUN, 1, fragment(1, size=SIZE)[1][:1_000])
    await settled(owner)
    disk.code = code
    owner.fragment(event, data[1_000:], started())
    await _done(owner)
    disk.code = 0
    owner.fragment(fragment(1, size=SIZE)[0], fragment(1, size=SIZE)[1][1_000:], started())
    film(owner, 2)
    await settled(owner)
    assert [(one.first_seq, one.last_seq, one.why) for one in read_losses(tmp_path)] == [
        (0, 0, why)
    ]
    assert states(owner.spool) == {
        0: FragmentState.GIVEN_UP, 1: FragmentState.STORED, 2: FragmentState.STORED,
    }  # fmt: skip
    assert are_whole(owner.spool)
    assert open_handles(tmp_path) == []
    owner.end_run(RUN, T0_MS + 12_000, "camera closed")
    await settled(owner)
    (run,) = owner.spool.journal.runs(EndState.ENDED)
    assert list(owner.spool.journal.given_up(run.run).ranges) == [(0, 0)]


async def _done(owner: ObservedSpoolThread) -> None:
    """Return when the spool's thread has done what was asked, on a disk that fails."""
    owner._submit(lambda: None).result(20)


async def test_a_disk_that_is_swapped_while_a_fragment_grows(tmp_path: Path) -> None:
    open_spool(tmp_path / "b", "e1", PLENTY).close()
    owner = ObservedSpoolThread(lambda: opened(tmp_path / "a"))
    try:
        event, data = fragment(0, size=SIZE)
        owner.piece(CAMERA, RUN, 0, data[:1_000])
        await settled(owner)
        (tmp_path / "a").rename(tmp_path / "c")
        (tmp_path / "b").rename(tmp_path / "a")
        owner.piece(CAMERA, RUN, 0, data[1_000:2_000])
        await settled(owner)
        owner.fragment(event, data[2_000:], started())
        film(owner, 1)
        await settled(owner)
        assert states(owner.spool) == {0: FragmentState.GIVEN_UP, 1: FragmentState.STORED}
        (loss,) = read_losses(tmp_path / "a")
        assert (loss.first_seq, loss.last_seq, loss.why) == (0, 0, "disk swapped")
        assert are_whole(owner.spool)
        assert open_handles(tmp_path) == []
    finally:
        owner.close()


async def test_a_disk_that_was_away_for_a_moment_costs_nothing(tmp_path: Path) -> None:
    owner = ObservedSpoolThread(lambda: opened(tmp_path / "a" / "spool"))
    try:
        event, data = fragment(0, size=SIZE)
        owner.piece(CAMERA, RUN, 0, data[:1_000])
        await settled(owner)
        (tmp_path / "a").rename(tmp_path / "c")
        (tmp_path / "a").write_text("nothing can be made here")
        owner.piece(CAMERA, RUN, 0, data[1_000:2_000])
        await _done(owner)
        assert owner.status().disk == "gone"
        (tmp_path / "a").unlink()
        (tmp_path / "c").rename(tmp_path / "a")
        owner.fragment(event, data[2_000:], started())
        await settled(owner)
        assert states(owner.spool) == {0: FragmentState.STORED}
        assert are_whole(owner.spool)
    finally:
        owner.close()


def test_whatever_crashes_each_fragment_is_whole_or_absent(tmp_path: Path) -> None:
    """Random fragments of two cameras' runs grow; random steps crash; each start is checked."""
    print(f"VIGIL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    durable: set[tuple[str, int]] = set()
    next_seq = {RUN: 0, SECOND_RUN: 0}
    for _ in range(int(os.environ.get("VIGIL_TEST_EXAMPLES", "15"))):
        left = chance.randrange(1, 40)

        def step(_: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise CrashError

        spool = opened(tmp_path, step=step)
        growing: dict[str, int] = {}
        trying: list[tuple[str, int]] = []
        try:
            while True:
                trying = []
                run = chance.choice([RUN, SECOND_RUN])
                event, data = fragment(next_seq[run], run=run, size=SIZE)
                at = growing.get(run, 0)
                one = FragmentId(CAMERA, run, event.seq)
                match chance.choice(["piece", "piece", "close", "both", "discard"]):
                    case "piece":
                        size = chance.randrange(SIZE - at + 1)
                        spool.append(one, [data[at : at + size]], at)
                        growing[run] = at + size
                    case "discard":
                        spool.discard(one)
                        growing[run] = 0
                    case "close":
                        trying = [(run, event.seq)]
                        _close(spool, next_seq, growing, trying)
                    case "both":
                        trying = list(next_seq.items())
                        _close(spool, next_seq, growing, trying)
                durable.update(trying)
        except CrashError:
            spool.close()
        spool = opened(tmp_path)
        found = {(row.run, row.seq) for row in spool.waiting(10_000)}
        assert durable <= found <= durable | set(trying)
        assert are_whole(spool)
        durable = found
        for run, seq in found:
            next_seq[run] = max(next_seq[run], seq + 1)
        spool.close()


def _close(
    spool: Spool, next_seq: dict[str, int], growing: dict[str, int], which: list[tuple[str, int]]
) -> None:
    closed = []
    for run, seq in which:
        event, data = fragment(seq, run=run, size=SIZE)
        closed.append(ClosedFragment(event, [data[growing.get(run, 0) :]], started(run)))
    assert spool.store_all(closed) == []
    for run, _ in which:
        growing[run] = 0
        next_seq[run] += 1
