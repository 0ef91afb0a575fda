"""Recovery runs alongside recording: nothing waits for it, and nothing is missed.

Each test opens the spool as the edge does, and takes one small step of recovery at a time.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from domain.identity import FragmentId, new_run_id
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import recovery
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.recovery import RESTARTED
from edge_bridge.spool.rows import EndState, FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from tests.unit.edge_bridge.material import (
    CAMERA,
    RUN,
    SECOND_RUN,
    T0_MS,
    ObservedSpoolThread,
    fragment,
    started,
)
from tests.waiting import wait_for

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0)
SIZE = 1_880
NEW_RUN = new_run_id(T0_MS + 7_200_000, bytes(range(10)))
GONE, DAMAGED, UNROWED = 3, 11, 17


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PAGE", 4)
    monkeypatch.setattr(recovery, "_NAMES_AT_ONCE", 5)


def left_behind(folder: Path, *, journal: bool = True) -> None:
    """Two open runs of 20 and 2 fragments: a file gone, one damaged and one whole without rows."""
    spool = open_spool(folder, "e1", PLENTY)
    for seq in range(20):
        spool.store(*fragment(seq), started())
    for seq in range(2):
        spool.store(*fragment(seq, run=SECOND_RUN), started(SECOND_RUN))
    spool.files.remove(CAMERA, RUN, GONE)
    path = spool.files.path(CAMERA, RUN, DAMAGED)
    path.write_bytes(b"#" + path.read_bytes()[1:])
    for seq in (DAMAGED, UNROWED):
        spool.journal.drop_fragment(FragmentId(CAMERA, RUN, seq))
    (path.parent / "00000020.part").write_bytes(b"half")
    spool.close()
    if not journal:
        for one in folder.glob("journal.db*"):
            one.unlink()


def opened(folder: Path) -> Spool:
    return open_spool(folder, "e1", PLENTY, background_recovery=True)


def states(spool: Spool, run: str = RUN) -> dict[int, FragmentState]:
    return {one.seq: state for one, state, _ in spool.journal.rows_of_run(run)}


def recovered(spool: Spool, between: Callable[[], None] = lambda: None) -> int:
    """Recover in the smallest steps; return how many."""
    steps = 1
    while spool.recover(0):
        steps += 1
        between()
        assert steps < 1_000
    return steps


EXPECTED = {seq: FragmentState.STORED for seq in range(20) if seq != DAMAGED} | {
    GONE: FragmentState.GIVEN_UP
}


def test_recovery_takes_many_small_steps(tmp_path: Path) -> None:
    left_behind(tmp_path)
    spool = opened(tmp_path)
    assert spool.recovering
    assert spool.counts().recovering
    assert not spool.counts().idle
    assert states(spool)[GONE] is FragmentState.STORED
    assert recovered(spool) > 10
    assert not spool.recovering
    assert states(spool) == EXPECTED
    folder = spool.files.path(CAMERA, RUN, 0).parent
    assert (folder / "00000011.damaged").exists()
    assert not (folder / "00000020.part").exists()
    assert [(loss.first_seq, loss.why) for loss in read_losses(tmp_path)] == [(GONE, "file gone")]
    ended = spool.journal.runs(EndState.ENDED)
    assert {(run.run, run.reason) for run in ended} == {(RUN, RESTARTED), (SECOND_RUN, RESTARTED)}
    assert spool.file_bytes == (18 + 2) * SIZE
    assert not spool.recover(0)
    spool.close()
    assert open_spool(tmp_path, "e1", PLENTY).file_bytes == 20 * SIZE


def test_recording_continues_between_any_two_steps(tmp_path: Path) -> None:
    """A new run of the same camera is stored, uploaded and evicted between the steps."""
    left_behind(tmp_path)
    spool = opened(tmp_path)
    seq = 0

    def record() -> None:
        nonlocal seq
        assert spool.store(*fragment(seq, run=NEW_RUN), started(NEW_RUN))
        row = spool.waiting(1)[0]
        if row.run == RUN and row.seq == GONE:
            spool.unreadable(row.id, FileNotFoundError(2, "gone"))
        else:
            spool.uploaded(row.id)
            spool.sent([row.id], [], [])
        seq += 1

    recovered(spool, record)
    assert seq > 10
    assert states(spool, NEW_RUN).keys() == set(range(seq))
    assert spool.journal.run(NEW_RUN).end_state is EndState.OPEN  # type: ignore[union-attr]
    assert states(spool).keys() == EXPECTED.keys()
    assert [loss.first_seq for loss in read_losses(tmp_path)] == [GONE]
    assert spool.file_bytes == spool.journal.file_bytes() == (20 + seq) * SIZE
    spool.close()


def test_what_is_evicted_after_the_listing_does_not_count_as_damaged(tmp_path: Path) -> None:
    left_behind(tmp_path)
    spool = opened(tmp_path)

    def free() -> None:
        for row in spool.waiting(50):
            if row.run == RUN and row.seq not in (GONE, UNROWED):
                spool.sent([row.id], [], [])
                spool.files.remove(row.camera, row.run, row.seq)
                spool.journal.drop_fragment(row.id)

    recovered(spool, free)
    assert set(states(spool)) == {GONE, UNROWED}
    quarantined = [path.name for path in spool.files.path(CAMERA, RUN, 0).parent.glob("*.damaged")]
    assert quarantined == ["00000011.damaged"]
    spool.close()


def test_a_runs_end_is_not_sent_before_its_files_were_checked(tmp_path: Path) -> None:
    left_behind(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db, db:
        db.execute("UPDATE runs SET end_state = 1, ended_ms = 1, reason = 'over'")
        db.execute("UPDATE fragments SET state = 2 WHERE seq <> ?", (GONE,))
        db.execute("UPDATE fragments SET state = 3 WHERE seq = ?", (GONE,))
    spool = opened(tmp_path)
    spool.store(*fragment(0, run=NEW_RUN), started(NEW_RUN))
    spool.sent([FragmentId(CAMERA, NEW_RUN, 0)], [], [])
    spool.end_run(NEW_RUN, T0_MS, "closed")
    sent = [[run.run for run, _ in spool.ends_to_write(10)]]
    recovered(spool, lambda: sent.append([run.run for run, _ in spool.ends_to_write(10)]))
    assert sent[0] == [NEW_RUN]  # all of it is known
    assert SECOND_RUN in sent[-1]  # RUN's is not due: a fragment without a row was inserted
    assert all(RUN not in one for one in sent)
    assert states(spool)[UNROWED] is FragmentState.STORED
    spool.close()


def test_a_rebuild_continues_after_a_kill_in_the_middle(tmp_path: Path) -> None:
    left_behind(tmp_path, journal=False)
    for _ in range(30):  # each life takes in a little
        spool = opened(tmp_path)
        for _ in range(14):
            spool.recover(0)
        still = spool.recovering
        spool.close()
        if not still:
            break
    spool = open_spool(tmp_path, "e1", PLENTY)
    whole = {seq for seq in range(20) if seq not in (GONE, DAMAGED)}
    assert set(states(spool)) == whole
    assert set(states(spool, SECOND_RUN)) == {0, 1}
    assert spool.file_bytes == 20 * SIZE
    starts = [message for message in spool.messages(100) if message.type == "run-started"]
    assert len(starts) == 2
    assert spool._outbox.total_bytes == spool.journal.message_bytes()
    spool.close()


def test_live_runs_are_not_ended_where_the_folder_is_opened_again(tmp_path: Path) -> None:
    left_behind(tmp_path)
    spool = opened(tmp_path)
    spool.recover(0)
    spool.reopen([RUN])
    recovered(spool)
    assert spool.journal.run(RUN).end_state is EndState.OPEN  # type: ignore[union-attr]
    assert spool.journal.run(SECOND_RUN).end_state is EndState.ENDED  # type: ignore[union-attr]
    assert states(spool) == EXPECTED
    spool.close()


def rebuilt(folder: Path) -> bool:
    return bool(list(folder.glob("journal.damaged-*")))


def owned(folder: Path) -> ObservedSpoolThread:
    return ObservedSpoolThread(
        lambda: open_spool(folder, "e1", PLENTY, background_recovery=True), lambda: None
    )


async def test_the_thread_recovers_by_itself_between_calls(tmp_path: Path) -> None:
    left_behind(tmp_path)
    owner = owned(tmp_path)
    owner.fragment(*fragment(0, run=NEW_RUN), started(NEW_RUN))
    assert len(await owner.call(lambda spool: spool.waiting(1))) == 1
    await wait_for(lambda: not owner.status().recovering, within_s=20, what="recovery is done")
    assert states(owner.spool) == EXPECTED
    assert states(owner.spool, NEW_RUN) == {0: FragmentState.STORED}
    owner.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE fragments SET state = 77 WHERE seq = 7",
        "UPDATE fragments SET camera = CAST(x'fffe' AS TEXT) WHERE seq = 7",
    ],
)
async def test_a_journal_found_damaged_during_recovery_is_rebuilt(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_bridge.spool.journal_file.MAX_CHECKED_BYTES", 0)
    left_behind(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db, db:
        db.execute(damage)
    owner = owned(tmp_path)
    owner.fragment(*fragment(0, run=NEW_RUN), started(NEW_RUN))
    await wait_for(lambda: not owner.status().recovering, within_s=20, what="recovery is done")
    assert rebuilt(tmp_path)
    assert set(states(owner.spool)) == {*range(20)} - {GONE, DAMAGED}
    assert states(owner.spool, NEW_RUN) == {0: FragmentState.STORED}
    owner.fragment(*fragment(1, run=NEW_RUN), started(NEW_RUN))
    assert (await owner.call(lambda spool: spool.counts())).stored == 18 + 2 + 2
    assert owner.spool.journal.run(NEW_RUN).end_state is EndState.OPEN  # type: ignore[union-attr]
    assert owner.status().disk == "good"
    owner.close()


async def test_recovery_that_fails_on_the_disk_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_bridge.spool.thread._RECOVER_AGAIN_S", 0.0)
    left_behind(tmp_path)
    spool = opened(tmp_path)
    refused = 0
    rows_of_run = spool.journal.rows_of_run

    def refuse(*args: object) -> object:
        nonlocal refused
        refused += 1
        if refused <= 2:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return rows_of_run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(spool.journal, "rows_of_run", refuse)
    owner = ObservedSpoolThread(lambda: spool, lambda: None)

    async def asked() -> bool:
        await owner.call(lambda spool: spool.counts())
        return not owner.status().recovering

    await wait_for(asked, within_s=20, what="recovery is done")
    assert refused > 2
    monkeypatch.undo()
    assert states(owner.spool) == EXPECTED
    owner.close()


def test_a_closed_thread_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    left_behind(tmp_path)
    for _ in range(20):
        owned(tmp_path).close()
    spool = open_spool(tmp_path, "e1", PLENTY)
    assert states(spool) == EXPECTED
    spool.close()


def test_the_sum_of_bytes_follows_every_change(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "e1", PLENTY)
    for seq in range(5):
        spool.store(*fragment(seq), started())
    spool.store(*fragment(4), started())  # once more: it exists already
    spool.give_up(FragmentId(CAMERA, RUN, 0), "space")
    spool.journal.drop_fragment(FragmentId(CAMERA, RUN, 1))
    with pytest.raises(RuntimeError), spool.journal.transaction():
        spool.journal.drop_fragment(FragmentId(CAMERA, RUN, 2))
        raise RuntimeError("undone")
    assert spool.journal.file_bytes() == 3 * SIZE
    spool.journal._db.execute("DROP TABLE totals")
    spool.close()  # as one of an earlier program has it
    again = open_spool(tmp_path, "e1", PLENTY)
    assert again.file_bytes == again.journal.file_bytes() == 4 * SIZE  # 1 is taken in
    again.close()
