"""The spool: crashes at every point, two processes, full disks, damaged journals."""

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import ConfigError
from domain.events.base import MAX_RANGES
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.rows import EndState, FragmentState, SpooledFragment
from edge_bridge.spool.spool import Spool, open_spool
from tests.unit.edge_bridge.material import CAMERA, RUN, SECOND_RUN, T0_MS, fragment, started

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
STORE_STEPS = ["written in part", "written", "synced", "renamed", "folder synced", "row written"]


class CrashError(BaseException):
    """The process is gone at this very point."""


def crash_at(name: str, nth: int = 1) -> Callable[[str], None]:
    left = nth

    def step(now: str) -> None:
        nonlocal left
        if now == name:
            left -= 1
            if left == 0:
                raise CrashError(name)

    return step


def reopened(folder: Path, **options: object) -> Spool:
    return open_spool(folder, "e1", PLENTY, **options)  # type: ignore[arg-type]


def abandon(spool: Spool) -> None:
    """Let go of the folder as a killed process would: nothing is written any more."""
    spool.close()


def store(spool: Spool, seq: int, run: str = RUN) -> None:
    assert spool.store(*fragment(seq, run=run), started(run))


def on_disk(folder: Path) -> set[str]:
    return {
        path.relative_to(folder / "fragments").as_posix()
        for path in (folder / "fragments").rglob("*")
        if path.is_file()
    }


def states(spool: Spool) -> dict[int, FragmentState]:
    return {one.seq: state for one, state, _ in spool.journal.all_fragments()}


@pytest.mark.parametrize("step", STORE_STEPS)
@pytest.mark.parametrize("seq", [0, 1])
def test_a_crash_during_storing_loses_at_most_the_fragment_being_written(
    step: str, seq: int, tmp_path: Path
) -> None:
    spool = reopened(tmp_path, step=crash_at(step, seq + 1))
    for before in range(seq):
        store(spool, before)
    with pytest.raises(CrashError):
        store(spool, seq)
    abandon(spool)

    renamed = STORE_STEPS.index(step) >= STORE_STEPS.index("renamed")
    kept = list(range(seq + renamed))
    for _ in range(2):  # a second recovery changes nothing
        spool = reopened(tmp_path)
        assert states(spool) == dict.fromkeys(kept, FragmentState.STORED)
        assert on_disk(tmp_path) == {f"{CAMERA}/{RUN}/{one:08d}.frag" for one in kept}
        for row in spool.waiting(10):
            event, data = fragment(row.seq)
            assert spool.files.read(row.camera, row.run, row.seq, event.size_bytes) == data
        starts = [message.type for message in spool.journal.messages(10)]
        assert starts == (["run-started"] if kept else [])
        ended = spool.journal.runs(EndState.ENDED)
        assert [(run.run, run.last_seq, run.reason) for run in ended] == (
            [(RUN, kept[-1], "edge restarted")] if kept else []
        )
        abandon(spool)


@pytest.mark.parametrize(
    "state", [FragmentState.STORED, FragmentState.UPLOADED, FragmentState.NOTICED]
)
def test_a_row_whose_file_is_gone(state: FragmentState, tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    store(spool, 0)
    store(spool, 1)
    spool.journal.set_state([fragment_id(0)], state)
    spool.files.remove(CAMERA, RUN, 0)
    abandon(spool)
    spool = reopened(tmp_path)
    left = {
        FragmentState.STORED: {0: FragmentState.GIVEN_UP, 1: FragmentState.STORED},
        FragmentState.UPLOADED: {0: FragmentState.UPLOADED, 1: FragmentState.STORED},
        FragmentState.NOTICED: {1: FragmentState.STORED},
    }
    assert states(spool) == left[state]
    abandon(spool)


def fragment_id(seq: int):  # type: ignore[no-untyped-def]
    from domain.identity import FragmentId

    return FragmentId(CAMERA, RUN, seq)


def test_a_crash_while_giving_up_leaves_no_file(tmp_path: Path) -> None:
    spool = reopened(tmp_path, step=crash_at("given up"))
    store(spool, 0)
    with pytest.raises(CrashError):
        spool.give_up(fragment_id(0), "space")
    abandon(spool)
    spool = reopened(tmp_path)
    assert states(spool) == {0: FragmentState.GIVEN_UP}
    assert on_disk(tmp_path) == set()
    ((run, event),) = spool.ends_to_write(5)
    assert event.given_up == [(0, 0)]
    assert run.reason == "edge restarted"
    abandon(spool)


def test_a_crash_during_eviction_loses_nothing(tmp_path: Path) -> None:
    limits = SpoolLimits(max_bytes=4_000, free_floor_bytes=0)
    spool = open_spool(tmp_path, "e1", limits, step=crash_at("file freed"))
    store(spool, 0)
    store(spool, 1)
    spool.sent([fragment_id(0), fragment_id(1)], [], [])
    with pytest.raises(CrashError):
        store(spool, 2)
    abandon(spool)
    spool = reopened(tmp_path)
    assert states(spool) == {1: FragmentState.NOTICED, 2: FragmentState.STORED}
    abandon(spool)


def test_a_damaged_journal_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    for seq in range(5):
        store(spool, seq)
    store(spool, 0, SECOND_RUN)
    abandon(spool)
    (tmp_path / "journal.db").write_bytes(b"nothing that SQLite would know" * 500)
    spool = reopened(tmp_path)
    assert len(spool.waiting(10)) == 6
    assert {run.run: run.last_seq for run in spool.journal.runs(EndState.ENDED)} == {
        RUN: 4,
        SECOND_RUN: 0,
    }
    assert list(tmp_path.glob("journal.damaged-*"))
    abandon(spool)


def test_a_damaged_file_without_a_row_is_quarantined(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    store(spool, 0)
    whole = spool.files.path(CAMERA, RUN, 0)
    data = whole.read_bytes()
    (whole.parent / "00000001.frag").write_bytes(data)  # another fragment's bytes
    (whole.parent / "00000002.frag").write_bytes(b"x" + data[1:])
    (whole.parent / "00000003.frag").write_bytes(data[:-1])
    (whole.parent / "00000004.frag").write_bytes(b"")
    abandon(spool)
    spool = reopened(tmp_path)
    assert states(spool) == {0: FragmentState.STORED}
    assert sorted(path.name for path in whole.parent.glob("*.damaged")) == [
        f"0000000{seq}.damaged" for seq in (1, 2, 3, 4)
    ]
    abandon(spool)


def test_a_second_process_is_rejected(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    with pytest.raises(ConfigError, match=r"another process uses the spool.*stop it"):
        reopened(tmp_path)
    abandon(spool)
    abandon(reopened(tmp_path))


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used: Not a directory"):
        reopened(tmp_path / "file" / "spool")


def test_eviction_deletes_what_the_cloud_has_first(tmp_path: Path) -> None:
    # bytes: 5 fragments fit. 0 1 noticed, 2 uploaded, 3.. stored
    spool = open_spool(tmp_path, "e1", SpoolLimits(max_bytes=5 * 1_880, free_floor_bytes=0))
    for seq in range(5):
        store(spool, seq)
    spool.sent([fragment_id(0), fragment_id(1)], [], [])
    spool.uploaded(fragment_id(2))
    store(spool, 5)
    assert set(states(spool)) == {1, 2, 3, 4, 5}
    store(spool, 6)
    assert set(states(spool)) == {2, 3, 4, 5, 6}
    store(spool, 7)  # 2 is in S3: its file is deleted, its notice stays due
    assert states(spool)[2] is FragmentState.UPLOADED
    assert f"{CAMERA}/{RUN}/00000002.frag" not in on_disk(tmp_path)
    store(spool, 8)  # the last resort
    assert states(spool)[3] is FragmentState.GIVEN_UP
    assert spool.file_bytes <= 5 * 1_880
    spool.end_run(RUN, T0_MS, "edge stopped")
    assert spool.ends_to_write(1) == []  # others are still on their way
    for seq in (2, 4, 5, 6, 7, 8):
        spool.sent([fragment_id(seq)], [], [])
    ((_, event),) = spool.ends_to_write(1)
    assert (event.last_seq, event.given_up) == (8, [(3, 3)])
    abandon(spool)


def test_the_minimum_of_free_space_counts_too(tmp_path: Path) -> None:
    free = [10_000]
    limits = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=5_000)
    spool = open_spool(tmp_path, "e1", limits, free_bytes=lambda: free[0])
    store(spool, 0)
    store(spool, 1)
    spool.sent([fragment_id(0)], [], [])
    free[0] = 4_999
    spool.evict()
    assert states(spool)[1] is FragmentState.GIVEN_UP  # nothing helped: all that may be deleted was
    assert on_disk(tmp_path) == set()
    abandon(spool)


def test_a_disk_error_gives_the_seq_up_and_recording_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = reopened(tmp_path)
    store(spool, 0)

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(spool.files, "complete", refuse)
        assert not spool.store(*fragment(1), started())
    store(spool, 2)
    assert states(spool) == {
        0: FragmentState.STORED,
        1: FragmentState.GIVEN_UP,
        2: FragmentState.STORED,
    }
    abandon(spool)


def test_a_full_outbox_drops_only_the_oldest_detections(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "e1", SpoolLimits(outbox_max_bytes=100, free_floor_bytes=0))
    spool.put_message("run-started", b"s" * 30)
    for number in range(5):
        spool.put_message("detection", bytes([65 + number]) * 30)
    kept = [(message.type, message.body[:1]) for message in spool.journal.messages(10)]
    assert kept == [("run-started", b"s"), ("detection", b"D"), ("detection", b"E")]
    abandon(spool)


def test_what_an_end_says_never_changes_once_fixed(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    store(spool, 0)
    spool.end_run(RUN, T0_MS, "camera closed")
    spool.sent([fragment_id(0)], [], [])
    ((_, first),) = spool.ends_to_write(1)
    abandon(spool)
    spool = reopened(tmp_path)
    ((_, again),) = spool.ends_to_write(1)
    assert again == first
    assert first.reason == "camera closed"
    spool.end_written(RUN)
    ((run, _),) = spool.ends_to_notice()
    spool.sent([], [], [run])
    assert spool.ends_to_notice() == []
    assert spool.counts().messages == 1  # the run's start, which was not sent here
    abandon(spool)


def test_an_end_with_more_gaps_than_an_event_may_list_is_still_sent(
    tmp_path: Path,
) -> None:
    spool = reopened(tmp_path)
    last = 2 * MAX_RANGES + 2
    with spool.journal.transaction():
        spool.journal.put_run(RUN, CAMERA)
        for seq in range(0, last + 1, 2):
            row = SpooledFragment(CAMERA, RUN, seq, T0_MS, 0, "", FragmentState.GIVEN_UP)
            spool.journal.put_fragment(row, T0_MS)
    spool.end_run(RUN, T0_MS + 1, "over")
    [(_, event)] = spool.ends_to_write(10)
    assert (event.last_seq, len(event.given_up)) == (last, MAX_RANGES)
    spool.close()


def test_listing_the_files_changes_nothing(tmp_path: Path) -> None:
    files = FragmentFiles(tmp_path)
    for seq in (1, 0):
        files.write(*fragment(seq))
    being_written = files.path(CAMERA, RUN, 2).with_suffix(".part")
    being_written.write_bytes(b"a part")
    assert [found.id.seq for found in files.all_files()] == [0, 1]
    assert being_written.exists()
    assert sorted(files.seqs(CAMERA, RUN)) == [0, 1]  # as a start does, which may tidy up
    assert not being_written.exists()
