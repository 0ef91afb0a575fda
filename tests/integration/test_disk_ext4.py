"""A spool on a real ext4 that fills up, or turns read-only, while fragments grow in their files.

fragment  0        1        2            3          4
          stored   grows ── disk fails ── gives up   disk is back: stored
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import VigilError
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import thread as spool_thread
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.rows import EndState
from edge_bridge.spool.spool import open_spool
from harness.stalled_disk import StalledDisk, stalled_disk
from tests.unit.edge_bridge.material import (
    CAMERA,
    RUN,
    T0_MS,
    ObservedSpoolThread,
    fragment,
    started,
)

SIZE = 188 * 5_000
PIECE = 200_000
MIB = 32
PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[StalledDisk]:
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(stalled_disk(tmp_path, MIB))
        except VigilError as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture
def owner(disk: StalledDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObservedSpoolThread]:
    monkeypatch.setattr(spool_thread, "_PROBE_EVERY_S", 0.0)
    made = ObservedSpoolThread(lambda: open_spool(disk.folder / "spool", "e1", PLENTY))
    yield made
    made.close()


async def settled(owner: ObservedSpoolThread) -> None:
    """Return when the thread has done all, on a disk that may refuse."""
    with contextlib.suppress(DiskError):
        await owner.call(lambda _: None)


def begin(owner: ObservedSpoolThread, seq: int) -> int:
    """Write the first pieces of a fragment; return how many bytes they have."""
    data = fragment(seq, size=SIZE)[1]
    for at in (0, PIECE):
        owner.piece(CAMERA, RUN, seq, data[at : at + PIECE])
    return 2 * PIECE


def close(owner: ObservedSpoolThread, seq: int, at: int = 0) -> None:
    """Write a fragment from `at` on, in pieces, and close it."""
    event, data = fragment(seq, size=SIZE)
    while at + PIECE < len(data):
        owner.piece(CAMERA, RUN, seq, data[at : at + PIECE])
        at += PIECE
    owner.fragment(event, data[at:], started())


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
        os.fsync(file.fileno())
    return filler


def check_whole(owner: ObservedSpoolThread, seqs: list[int]) -> None:
    """Assert that these fragments are stored with all their bytes, and that nothing else is."""
    rows = owner.spool.waiting(100)
    assert [row.seq for row in rows] == seqs
    for row in rows:
        event, data = fragment(row.seq, size=SIZE)
        assert owner.spool.files.inspect(owner.spool.files.path(CAMERA, RUN, row.seq)) == event
        assert owner.spool.files.read(CAMERA, RUN, row.seq, row.size) == data
    files = [path.name for path in owner.spool.files.root.rglob("*") if path.is_file()]
    assert sorted(files) == [f"{seq:08d}.frag" for seq in seqs]


async def test_a_disk_that_is_full_in_the_middle_of_a_fragment(
    disk: StalledDisk, owner: ObservedSpoolThread
) -> None:
    at = begin(owner, 0)
    await settled(owner)
    filler = fill(disk.folder)
    close(owner, 0, at)
    await settled(owner)
    assert owner.status().given_up == 1
    filler.unlink()
    filler = fill(disk.folder)
    close(owner, 1)
    owner.message("detection", b"kept in memory")
    await settled(owner)
    assert owner.status().disk == "full"
    assert owner.status().given_up == 2
    at = begin(owner, 2)
    await settled(owner)
    filler.unlink()
    close(owner, 2, at)
    close(owner, 3)
    await settled(owner)
    assert owner.status().disk == "good"
    check_whole(owner, [2, 3])
    assert b"kept in memory" in [row.body for row in owner.spool.messages(10)]
    losses = read_losses(disk.folder / "spool")
    assert [(each.first_seq, each.last_seq, each.why) for each in losses] == [(0, 1, "disk full")]
    owner.end_run(RUN, T0_MS + 20_000, "camera closed")
    await settled(owner)
    (run,) = owner.spool.journal.runs(EndState.ENDED)
    assert list(owner.spool.journal.given_up(run.run).ranges) == [(0, 1)]


async def test_a_disk_that_turns_read_only_in_the_middle_of_a_fragment(
    disk: StalledDisk, owner: ObservedSpoolThread
) -> None:
    """As the kernel does after an error of the disk: files are open, and stay so."""
    close(owner, 0)
    at = begin(owner, 1)
    await settled(owner)
    turn_read_only(disk.folder)
    close(owner, 1, at)
    await settled(owner)
    assert owner.status().disk == "read-only"
    assert owner.status().given_up == 1
    at = begin(owner, 2)
    owner.message("detection", b"kept in memory")
    await settled(owner)
    # The kernel mounts it writable only after all its files are closed.
    owner._submit(lambda: close_files(owner)).result(20)
    mount_again(disk.folder)
    close(owner, 2, at)
    close(owner, 3)
    await settled(owner)
    assert owner.status().disk == "good"
    losses = read_losses(disk.folder / "spool")
    assert [(each.first_seq, each.last_seq, each.why) for each in losses] == [
        (1, 1, "disk read-only")
    ]
    check_whole(owner, [0, 2, 3])
    assert b"kept in memory" in [row.body for row in owner.spool.messages(10)]


def close_files(owner: ObservedSpoolThread) -> None:
    owner.spool.journal.close()
    owner.spool._lock.close()


def turn_read_only(folder: Path) -> None:
    """Have the kernel find an error of the file system."""
    run("mount", "-o", "remount,errors=remount-ro", str(folder))
    device = run("findmnt", "-no", "SOURCE", str(folder)).strip()
    trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
    try:
        trigger.write_text("1")
    except OSError as error:
        pytest.skip(f"{trigger}: {error}")
    with pytest.raises(OSError):
        (folder / "probe").write_bytes(b"x")


def mount_again(folder: Path) -> None:
    """Do what an operator does: check the file system, and mount it again."""
    image = folder.with_name("disk.img")
    run("umount", str(folder))
    subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, check=False)
    run("mount", "-o", "loop", str(image), str(folder))


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
