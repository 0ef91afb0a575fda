"""Whatever became of the journal, the edge starts, and all fragments on the disk are sent."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from domain.events import FragmentArrived
from domain.events.registry import encode
from domain.identity import FragmentId, fragment_key
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import journal_file
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.rows import EndState, FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from tests.unit.edge_bridge.cloud import MemoryCloud
from tests.unit.edge_bridge.material import CAMERA, RUN, SECOND_RUN, T0_MS, fragment, started
from tests.unit.edge_bridge.test_upload import UploadProcess, drained
from tests.waiting import wait_for

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
FRAGMENTS = 12
EXPECTED = {(RUN, seq) for seq in range(FRAGMENTS)} | {(SECOND_RUN, 0)}


def record(folder: Path, *, leave: bool = False) -> None:
    """Leave a spool as a running edge has it; `leave`: with its -wal, as a crash does."""
    spool = open_spool(folder, "e1", PLENTY)
    for seq in range(FRAGMENTS):
        spool.store(*fragment(seq), started())
    spool.end_run(RUN, T0_MS + 99_000, "camera closed")
    spool.store(*fragment(0, run=SECOND_RUN), started(SECOND_RUN))
    for number in range(20):
        spool.put_message("detection", b'{"n": %d}' % number)
    if leave:
        shutil.copytree(folder, folder.with_name(folder.name + "-left"))
    spool.close()


def use(spool: Spool) -> set[tuple[str, int]]:
    """Do all that an edge does with its spool; return what is to be sent."""
    spool.counts()
    due = spool.waiting(1_000)
    known = {(row.run, row.seq) for row in due if spool.event_of(row) is not None}
    spool.messages(100)
    spool.unnoticed(10)
    spool.store(*fragment(500), started())
    spool.end_run(SECOND_RUN, T0_MS, "over")
    for row in due:
        spool.uploaded(row.id)
    spool.sent([row.id for row in due], spool.messages(100), [])
    for run, event in spool.ends_to_write(10):
        spool.end_written(run.run, event)
    spool.sent([], [], [run for run, _ in spool.ends_to_notice()])
    spool.evict()
    return known


def rebuilt(folder: Path) -> bool:
    return bool(list(folder.glob("journal.damaged-*")))


def sql(statement: str) -> Callable[[Path], object]:
    def run(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "journal.db")) as db, db:
            db.execute(statement)

    return run


def folder_instead(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()
        (folder / name / "file").write_text("x")

    return make


def damaged_index(folder: Path) -> None:
    """Flip a byte in the text of an index's definition: SQLite's message then quotes it."""
    data = (folder / "journal.db").read_bytes()
    assert data.count(b"WHERE state < 2") == 1
    damaged = data.replace(b"WHERE state < 2", b"WHERE st\x8ate < 2")
    (folder / "journal.db").write_bytes(damaged)


DAMAGE = {
    "gone": lambda folder: (folder / "journal.db").unlink(),
    "empty": lambda folder: (folder / "journal.db").write_bytes(b""),
    "text": lambda folder: (folder / "journal.db").write_text("nothing of the kind\n" * 1_000),
    "zeros": lambda folder: (folder / "journal.db").write_bytes(bytes(40_960)),
    "a folder": folder_instead("journal.db"),
    "its log a folder": folder_instead("journal.db-wal"),
    "of a later version": sql("PRAGMA user_version = 99"),
    "another table": sql("ALTER TABLE fragments RENAME COLUMN event TO happening"),
    "a table missing": sql("DROP TABLE losses"),
    "no text": sql("UPDATE fragments SET camera = CAST(x'fffe' AS TEXT) WHERE seq = 3"),
    "an index of no text": damaged_index,
    "no state": sql("UPDATE fragments SET state = 77 WHERE seq = 3"),
    "no event": sql("UPDATE fragments SET event = '{' WHERE seq = 3"),
    "another log": lambda folder: (folder / "journal.db-wal").write_bytes(os.urandom(9_000)),
    "another index": lambda folder: (folder / "journal.db-shm").write_bytes(os.urandom(9_000)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_edge_starts_and_knows_all_that_it_has(name: str, tmp_path: Path) -> None:
    record(tmp_path)
    DAMAGE[name](tmp_path)
    with_it = open_spool(tmp_path, "e1", PLENTY)
    assert use(with_it) == EXPECTED
    with_it.close()
    assert open_spool(tmp_path, "e1", PLENTY).journal.runs(EndState.OPEN) == []


def test_a_journal_cut_anywhere(tmp_path: Path) -> None:
    record(tmp_path / "whole")
    size = (tmp_path / "whole" / "journal.db").stat().st_size
    cuts = sorted({0, 1, 50, 99, 100, 511, *range(4_096, size, 16_384), *range(1, size, 20_479)})
    for cut in cuts:
        folder = tmp_path / str(cut)
        shutil.copytree(tmp_path / "whole", folder)
        with (folder / "journal.db").open("r+b") as file:
            file.truncate(cut)
        spool = open_spool(folder, "e1", PLENTY)
        assert use(spool) == EXPECTED, f"cut at {cut}"
        spool.close()
        shutil.rmtree(folder)


def test_a_log_cut_anywhere_or_gone(tmp_path: Path) -> None:
    """What a crash leaves: much of the journal is in its -wal yet."""
    record(tmp_path / "run", leave=True)
    left = tmp_path / "run-left"
    size = (left / "journal.db-wal").stat().st_size
    assert size > 100_000
    for cut in [None, *range(0, size, 20_011)]:
        folder = tmp_path / "cut"
        shutil.copytree(left, folder)
        if cut is None:
            (folder / "journal.db-wal").unlink()
        else:
            with (folder / "journal.db-wal").open("r+b") as file:
                file.truncate(cut)
        spool = open_spool(folder, "e1", PLENTY)
        assert use(spool) == EXPECTED, f"cut at {cut}"
        spool.close()
        shutil.rmtree(folder)


def test_bytes_flipped_at_random(tmp_path: Path) -> None:
    print(f"VIGIL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    record(tmp_path / "whole")
    intact = (tmp_path / "whole" / "journal.db").read_bytes()
    for turn in range(15):
        folder = tmp_path / str(turn)
        shutil.copytree(tmp_path / "whole", folder)
        data = bytearray(intact)
        for _ in range(chance.choice([1, 3, 30, 300])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (folder / "journal.db").write_bytes(data)
        spool = open_spool(folder, "e1", PLENTY)
        known = use(spool)
        if rebuilt(folder):
            assert known == EXPECTED, f"turn {turn}"
        spool.close()
        again = open_spool(folder, "e1", PLENTY)
        assert again.counts().stored <= 1
        again.close()
        shutil.rmtree(folder)


def test_of_many_damaged_journals_the_newest_is_kept(tmp_path: Path) -> None:
    for turn in range(4):
        record(tmp_path) if not turn else None
        (tmp_path / "journal.db").write_bytes(b"damaged " * 1_000)
        open_spool(tmp_path, "e1", PLENTY, now_ms=lambda turn=turn: turn).close()
    assert [path.name for path in tmp_path.glob("journal.damaged-*")] == ["journal.damaged-3"]


def test_a_large_journal_is_checked_on_suspicion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of it is read at a start; its indexes are not."""
    monkeypatch.setattr(journal_file, "MAX_CHECKED_BYTES", 0)
    record(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        page = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'fragments_by_camera'"
        ).fetchone()[0]
    with (tmp_path / "journal.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
    spool = open_spool(tmp_path, "e1", PLENTY)
    with pytest.raises(sqlite3.DatabaseError) as raised:
        spool.journal.waiting.cameras()
    spool.disk.failed(raised.value)
    spool.reopen(())
    assert {(row.run, row.seq) for row in spool.waiting(100)} == EXPECTED
    spool.close()


async def test_a_row_that_cannot_be_read_stops_no_other_upload(tmp_path: Path) -> None:
    record(tmp_path)
    sql("UPDATE fragments SET event = 'no event' WHERE seq IN (3, 4, 5)")(tmp_path)
    damaged = tmp_path / "fragments" / CAMERA / RUN / "00000004.frag"
    damaged.write_bytes(b"#" + damaged.read_bytes()[1:])
    cloud = MemoryCloud()
    await drained(tmp_path, cloud, "oldest")
    sent = {key for key in cloud.objects if key.endswith(".ts")}
    assert sent == {fragment_key(CAMERA, run, seq) for run, seq in EXPECTED - {(RUN, 4)}}
    notices = [body for body in cloud.messages if b"fragment-arrived" in body]
    assert encode(fragment(3)[0]) in notices
    for body in notices:
        FragmentArrived.model_validate_json(body)
    assert [(loss.first_seq, loss.why) for loss in read_losses(tmp_path)] == [(4, "damaged")]
    assert damaged.with_suffix(".damaged").exists()


async def test_a_run_end_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    record(tmp_path)
    sql(f"UPDATE runs SET end_event = '{{', end_state = 1 WHERE run = '{RUN}'")(tmp_path)
    cloud = MemoryCloud()
    async with UploadProcess(tmp_path, cloud) as uploading:
        await wait_for(uploading.idle, within_s=20, what="everything is sent")
    assert any(SECOND_RUN.encode() in body and b"run-ended" in body for body in cloud.messages)


def test_quarantined_files_are_evicted_first(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "e1", PLENTY)
    for seq in range(4):
        spool.store(*fragment(seq), started())
    spool.give_up(FragmentId(CAMERA, RUN, 0), "other bytes stand in S3", quarantine="refused")
    spool.give_up(FragmentId(CAMERA, RUN, 1), "damaged", quarantine="damaged")
    spool.close()
    folder = tmp_path / "fragments" / CAMERA / RUN
    kept = {"00000000.refused", "00000001.damaged"}
    assert kept < {path.name for path in folder.iterdir()}
    free = iter([0, 0, 1, 1, 1])
    spool = open_spool(
        tmp_path, "e1", SpoolLimits(max_bytes=1 << 30, free_floor_bytes=1),
        free_bytes=lambda: next(free),
    )  # fmt: skip
    spool.evict()
    assert {path.name for path in folder.iterdir()} == {"00000002.frag", "00000003.frag"}
    assert {row.seq for row in spool.waiting(9)} == {2, 3}
    assert [state for _, state, _ in spool.journal.rows_of_run(RUN)][:2] == [
        FragmentState.GIVEN_UP
    ] * 2
    spool.close()
