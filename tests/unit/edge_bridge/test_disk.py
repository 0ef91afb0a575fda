"""The spool's disk: full, read-only, unmounted, swapped, failing; and what is listed of it.

All tests run twice: with tmpfs mounts, where this user may mount, and everywhere without. Then
folders are moved away, and a patched disk raises the errors.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.errors import ConfigError
from domain.identity import FragmentId
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import thread as spool_thread
from edge_bridge.spool.disk import DiskError, DiskState
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.rate import ByteRate
from edge_bridge.spool.rows import EndState, FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from tests.unit.edge_bridge.material import (
    CAMERA,
    RUN,
    T0_MS,
    ObservedSpoolThread,
    fragment,
    started,
)
from tests.waiting import wait_for

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0)
OTHER = "acme/berlin/yard"
SIZE = 188 * 1_000
ALL = 120


def may_mount() -> bool:
    done = subprocess.run(
        ["unshare", "-m", "true"], capture_output=True, check=False
    ) if shutil.which("unshare") else None  # fmt: skip
    return os.getuid() == 0 and done is not None and done.returncode == 0


class Disk:
    """A folder that fills up, goes and comes like a disk."""

    def __init__(self, folder: Path, mounts: bool) -> None:
        self.folder = folder
        self.mounts = mounts
        self._away = folder.with_name("away")
        self._mounted = False
        self.seems_mounted = False
        """Where the folder replaces a mount point."""
        folder.mkdir()

    def mount(self, size: str = "16m") -> bool:
        """Mount a tmpfs here; False: there is only a folder."""
        if not self.mounts:
            return False
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.folder)],
            capture_output=True, check=False,
        )  # fmt: skip
        self._mounted = done.returncode == 0
        return self._mounted

    def option(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.folder)], check=True)

    def unmount(self) -> None:
        """Take it away while files on it are open, as a pulled cable does."""
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
            self._mounted = False
        elif self.seems_mounted:
            self.move_away()
            self.folder.mkdir()
            self.seems_mounted = False

    def mount_another(self) -> None:
        """Put another, empty disk in its place."""
        if self.mounts:
            assert self.mount()
        self.seems_mounted = True

    def move_away(self) -> None:
        """What `unmount` is where mounting is not allowed: the path leads elsewhere."""
        self.folder.rename(self._away)

    def bring_back(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._away.rename(self.folder)


@pytest.fixture(params=["mount", "folder"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    if request.param == "mount" and not may_mount():
        pytest.skip("this user may not mount; the same runs with a folder")
    made = Disk(tmp_path / "disk", request.param == "mount")
    yield made
    if made.mounts:
        made.unmount()


@pytest.fixture(autouse=True)
def _probe_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_thread, "_PROBE_EVERY_S", 0.0)


def owned(folder: Path, limits: SpoolLimits = PLENTY) -> ObservedSpoolThread:
    return ObservedSpoolThread(lambda: open_spool(folder, "e1", limits))


def states(spool: Spool) -> dict[tuple[str, int], FragmentState]:
    return {(one.camera, one.seq): state for one, state, _ in spool.journal.all_fragments()}


async def settled(owner: ObservedSpoolThread) -> None:
    """Return when all that was asked of the spool's thread is done."""
    with contextlib.suppress(DiskError):
        await owner.call(lambda _: None)


def how(owner: ObservedSpoolThread) -> str:
    return owner.status().disk


def film(owner: ObservedSpoolThread, seq: int, camera: str = CAMERA) -> None:
    event, data = fragment(seq, size=SIZE, camera=camera)
    owner.fragment(event, data, started(camera=camera))


async def test_a_small_disk_fills_up_and_recording_continues(disk: Disk) -> None:
    # 16 MiB hold some 60 fragments; twice as many are recorded and nothing is uploaded. Where no
    # disk can be mounted, the spool's own limit is that small.
    mounted = disk.mount()
    limits = PLENTY if mounted else SpoolLimits(max_bytes=60 * SIZE, free_floor_bytes=0)
    owner = owned(disk.folder / "spool", limits)
    try:
        for seq in range(ALL):
            film(owner, seq)
            await settled(owner)
        assert how(owner) == "good"  # it has room for the next one, always
        now = states(owner.spool)
        kept = sorted(seq for (_, seq), state in now.items() if state is FragmentState.STORED)
        assert kept == list(range(ALL - len(kept), ALL)), "the newest are kept"
        assert len(kept) >= 30
        gone = [seq for (_, seq), state in now.items() if state is FragmentState.GIVEN_UP]
        assert sorted(gone) == list(range(ALL - len(kept)))
        for seq in kept:
            event, data = fragment(seq, size=SIZE)
            assert owner.spool.files.read(CAMERA, RUN, seq, event.size_bytes) == data
        losses = read_losses(disk.folder / "spool")
        assert [(one.first_seq, one.last_seq, one.why) for one in losses] == [
            (0, ALL - 1 - len(kept), "space")
        ]
        assert (losses[0].from_ms, losses[0].to_ms) == (T0_MS, T0_MS + (ALL - len(kept)) * 4_000)
        assert owner.status().given_up == ALL - len(kept)
    finally:
        owner.close()


async def test_a_disk_filled_by_others_gives_up_and_lists_the_new(disk: Disk) -> None:
    mounted = disk.mount()
    owner = owned(disk.folder / "spool")
    filler = disk.folder / "filler"
    try:
        await settled(owner)
        if mounted:
            _fill(filler)
        else:
            _refuse_writes(disk.folder, errno.ENOSPC)
        for seq in range(5):
            film(owner, seq)
            await settled(owner)
        assert how(owner) == "full"
        assert owner.status().given_up == 5
        _empty(filler)
        film(owner, 5)
        await settled(owner)
        assert how(owner) == "good"
        assert states(owner.spool) == {
            (CAMERA, seq): FragmentState.STORED if seq == 5 else FragmentState.GIVEN_UP
            for seq in range(6)
        }
        (loss,) = read_losses(disk.folder / "spool")
        assert (loss.first_seq, loss.last_seq, loss.bytes) == (0, 4, 0)
        assert loss.why == "disk full"
    finally:
        _empty(filler)
        owner.close()


_refused: dict[Path, Callable[[int], None]] = {}


def _refuse_writes(folder: Path, code: int) -> None:
    """Have nothing beneath a folder be durable any more."""
    _refused[folder] = real = os.fsync

    def fsync(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().is_relative_to(folder):
            raise OSError(code, os.strerror(code))
        real(file)

    os.fsync = fsync  # type: ignore[assignment]


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _empty(filler: Path) -> None:
    filler.unlink(missing_ok=True)
    if (original := _refused.pop(filler.parent, None)) is not None:
        os.fsync = original  # type: ignore[assignment]


async def test_a_disk_that_turns_read_only_is_reported_and_used_again(disk: Disk) -> None:
    mounted = disk.mount()
    owner = owned(disk.folder / "spool")
    try:
        film(owner, 0)
        await settled(owner)
        if mounted:
            # Files open for writing keep it from being remounted: the journal is, the lock is.
            owner.spool.journal.close()
            owner.spool._lock.close()
            disk.option("ro")
        else:
            _refuse_writes(disk.folder, errno.EROFS)
        film(owner, 1)
        await settled(owner)
        state = how(owner)
        assert state in ("read-only", "failing")
        owner.message("detection", b"kept in memory")
        owner.end_run(RUN, T0_MS + 8_000, "camera closed")
        await settled(owner)
        if mounted:
            disk.option("rw")
        _empty(disk.folder / "filler")
        await settled(owner)
        assert how(owner) == "good"
        assert states(owner.spool) == {
            (CAMERA, 0): FragmentState.STORED,
            (CAMERA, 1): FragmentState.GIVEN_UP,
        }
        assert b"kept in memory" in [row.body for row in owner.spool.messages(10)]
        (run,) = owner.spool.journal.runs(EndState.ENDED)
        assert (run.last_seq, run.reason) == (1, "camera closed")
    finally:
        _empty(disk.folder / "filler")
        owner.close()


async def test_nothing_is_written_below_the_mount_point_of_an_unmounted_disk(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not disk.mount():
        _seem_mounted(disk, monkeypatch)
    owner = owned(disk.folder / "spool")
    try:
        film(owner, 0)
        await settled(owner)
        disk.unmount()
        for seq in (1, 2):
            film(owner, seq)
        await settled(owner)
        assert how(owner) == "gone"
        assert list(disk.folder.iterdir()) == []
        with pytest.raises(DiskError, match="is gone"):
            await owner.call(lambda spool: spool.counts())
        disk.mount_another()
        film(owner, 3)
        await settled(owner)
        assert how(owner) == "good"
        assert states(owner.spool) == {
            (CAMERA, 1): FragmentState.GIVEN_UP,
            (CAMERA, 2): FragmentState.GIVEN_UP,
            (CAMERA, 3): FragmentState.STORED,
        }
        assert [run.run for run in owner.spool.journal.runs(EndState.OPEN)] == [RUN]
        owner.end_run(RUN, T0_MS + 16_000, "camera closed")
        await settled(owner)
        (run,) = owner.spool.journal.runs(EndState.ENDED)
        assert run.reason == "camera closed"
        (loss,) = read_losses(disk.folder / "spool")
        assert (loss.first_seq, loss.last_seq, loss.why) == (1, 2, "disk gone")
    finally:
        owner.close()


def _seem_mounted(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.path.ismount

    def ismount(path: str | Path) -> bool:
        return disk.seems_mounted if Path(path) == disk.folder else real(path)

    disk.seems_mounted = True
    monkeypatch.setattr(os.path, "ismount", ismount)


async def test_a_folder_that_is_away_and_comes_back(disk: Disk, tmp_path: Path) -> None:
    spool = tmp_path / "disk" / "spool"
    owner = owned(spool)
    try:
        film(owner, 0)
        await settled(owner)
        first = owner.spool.disk.id
        disk.move_away()
        disk.folder.mkdir()
        film(owner, 1)
        await settled(owner)
        assert how(owner) == "good"  # a new folder was begun: there is no mount point to guard
        assert owner.spool.disk.id != first
        disk.bring_back()  # swapped for the other one
        film(owner, 2)
        await settled(owner)
        assert owner.spool.disk.id == first
        assert how(owner) == "good"
        assert states(owner.spool) == {
            (CAMERA, 0): FragmentState.STORED,
            (CAMERA, 2): FragmentState.STORED,
        }
        assert [run.run for run in owner.spool.journal.runs(EndState.OPEN)] == [RUN]
    finally:
        owner.close()


async def test_another_spool_in_its_place_is_called_swapped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_spool(tmp_path / "b", "e1", PLENTY).close()
    owner = owned(tmp_path / "a")
    try:
        (tmp_path / "a").rename(tmp_path / "c")
        (tmp_path / "b").rename(tmp_path / "a")
        film(owner, 0)
        await settled(owner)
        assert "is swapped" in caplog.text
        assert how(owner) == "good"
        assert states(owner.spool) == {(CAMERA, 0): FragmentState.STORED}
    finally:
        owner.close()


async def test_a_journal_that_breaks_while_it_runs_is_rebuilt(tmp_path: Path) -> None:
    owner = owned(tmp_path)
    try:
        film(owner, 0)
        await settled(owner)

        def broken(*_: object) -> None:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

        await owner.call(lambda _: _damage(owner.spool))
        with pytest.raises(DiskError):
            await owner.call(broken)
        film(owner, 1)
        await settled(owner)
        assert states(owner.spool) == {
            (CAMERA, 0): FragmentState.STORED,
            (CAMERA, 1): FragmentState.STORED,
        }
        assert _names(tmp_path, "journal.damaged-*")
        assert [run.run for run in owner.spool.journal.runs(EndState.OPEN)] == [RUN]
    finally:
        owner.close()


def _names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


def _damage(spool: Spool) -> None:
    spool.journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = spool.journal.path
    data = bytearray(path.read_bytes())
    data[:100] = b"#" * 100
    path.write_bytes(data)


async def test_the_camera_with_the_lowest_priority_is_given_up_first(tmp_path: Path) -> None:
    limits = SpoolLimits(
        max_bytes=6 * SIZE, free_floor_bytes=0, free_floor_s=0, priorities={CAMERA: 9, OTHER: 1}
    )
    spool = open_spool(tmp_path, "e1", limits)
    for seq in range(3):
        assert spool.store(*fragment(seq, size=SIZE), started())
    run = RUN[:-1] + "0"
    for seq in range(3):
        event, data = fragment(seq + 100, run=run, size=SIZE, camera=OTHER)
        spool.store(event, data, started(run, OTHER))
    spool.store(*fragment(3, size=SIZE), started())
    now = states(spool)
    assert now[OTHER, 100] is FragmentState.GIVEN_UP, "older footage of the other is worth more"
    assert all(now[CAMERA, seq] is FragmentState.STORED for seq in range(4))
    for seq in range(4, 9):
        spool.store(*fragment(seq, size=SIZE), started())
    now = states(spool)
    assert {state for (camera, _), state in now.items() if camera == OTHER} == {
        FragmentState.GIVEN_UP
    }
    assert [seq for (camera, seq), state in now.items() if state is FragmentState.STORED] == [
        3,
        4,
        5,
        6,
        7,
        8,
    ]
    spool.close()


@pytest.mark.parametrize(
    ("minimum", "hour", "total", "min_free"),
    [
        (2, 0, 1_000, 2),  # nothing measured yet
        (2, 100, 1_000, 100),  # an hour of what the cameras bring
        (200, 100, 1_000, 200),  # the configured minimum
        (2, 800, 1_000, 250),  # a quarter of a disk that is too small for them
    ],
)
def test_the_free_space_is_an_hour_of_footage(
    minimum: int, hour: int, total: int, min_free: int
) -> None:
    assert SpoolLimits(free_floor_bytes=minimum).min_free_bytes(hour, total) == min_free


def test_where_others_fill_the_disk_the_newest_hour_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An hour is 5 fragments. Free: less than that hour, more than the configured minimum.
    limits = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=1_000)
    spool = open_spool(tmp_path, "e1", limits)
    monkeypatch.setattr(spool._evictor, "hour_bytes", lambda: 5 * SIZE)
    monkeypatch.setattr(spool.disk, "free", lambda: (4 * SIZE, 1 << 40))
    for seq in range(12):
        spool.store(*fragment(seq, size=SIZE), started())
    stored = [seq for (_, seq), state in states(spool).items() if state is FragmentState.STORED]
    assert stored == list(range(7, 12))
    for seq in range(7, 9):
        spool.uploaded(fragment_id(seq))
    spool.evict()
    assert spool.file_bytes == 3 * SIZE  # what the cloud has goes all the same
    monkeypatch.setattr(spool.disk, "free", lambda: (999, 1 << 40))
    spool.evict()
    assert spool.file_bytes == 0
    spool.close()


def fragment_id(seq: int) -> FragmentId:
    return FragmentId(CAMERA, RUN, seq)


def test_a_spool_that_wants_its_own_disk_refuses_the_root_disk(tmp_path: Path) -> None:
    folder = Path("/vigil-no-such-mount/spool")
    with pytest.raises(ConfigError, match=r"lies on the root disk.*mount the spool's disk"):
        open_spool(folder, "e1", PLENTY, own_disk=True)
    assert not folder.parent.exists()


@pytest.mark.parametrize("state", ["good", "gone"])
def test_each_state_is_logged_once(
    state: DiskState, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = open_spool(tmp_path, "e1", PLENTY)
    for _ in range(3):
        spool.disk.set_state(state)
    assert caplog.text.count("the spool's disk") == (0 if state == "good" else 1)
    spool.close()


async def test_work_that_waits_for_a_hanging_disk_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_thread, "HANGS_S", 0.0)
    owner = owned(tmp_path)
    release = threading.Event()
    try:
        owner._submit(release.wait)
        await wait_for(lambda: how(owner) == "hanging", within_s=10, what="it hangs")
        with pytest.raises(DiskError, match="hangs"):
            await owner.call(lambda spool: spool.counts())
        for number in range(200_000):
            owner.message("detection", b"%0100d" % number)
        assert owner._unwritten._message_bytes <= 16 << 20
        release.set()
        monkeypatch.setattr(spool_thread, "HANGS_S", 60.0)
        await settled(owner)
        assert how(owner) == "good"
        newest = owner.spool.journal._db.execute("SELECT max(body) FROM messages").fetchone()[0]
        assert int(newest) == 199_999
    finally:
        release.set()
        owner.close()


def test_the_rate_is_that_of_the_last_hour() -> None:
    #  minute 0 ──── 1 MB each ──── 90 ──── 4 MB each ──── 180
    rate = ByteRate()
    assert rate.hour_bytes(0) == 0
    rate.add(0, 1_000_000)
    assert rate.hour_bytes(59_999) == 0, "too little was seen"
    for minute in range(1, 90):
        rate.add(minute * 60_000, 1_000_000)
        if minute > 10:
            assert rate.hour_bytes(minute * 60_000) == pytest.approx(60_000_000, rel=0.1)
    for minute in range(90, 180):
        rate.add(minute * 60_000, 4_000_000)
    assert rate.hour_bytes(180 * 60_000) == pytest.approx(240_000_000, rel=0.05)
    assert rate.hour_bytes(300 * 60_000) == 0, "nothing comes any more"
