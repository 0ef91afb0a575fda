"""What the spool does stays as quick with much that waits: counted in steps of SQLite, not in time.

A start reads each row once, alongside recording. Nothing else may grow with what waits, except the
count for heartbeats.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.events import RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId, new_run_id
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.eviction import next_to_evict
from edge_bridge.spool.rows import FragmentState, SpooledFragment
from edge_bridge.spool.spool import Spool, open_spool
from edge_bridge.spool.undated_rows import UNDATED_PREFIX
from tests.unit.edge_bridge.material import RUN, T0_MS, fragment, started

CAMERAS = 8
FEW, MANY = 50, 2_000
LIMITS = SpoolLimits(max_bytes=1 << 40, free_floor_bytes=0, outbox_max_bytes=200_000)


def filled(folder: Path, each: int) -> Spool:
    """A spool after a long outage: much uploaded and kept, much that waits, a full outbox."""
    spool = open_spool(folder, "e1", LIMITS)
    journal = spool.journal
    with journal.transaction():
        for number in range(CAMERAS):
            camera = f"acme/berlin/c{number}"
            run = new_run_id(T0_MS + number, bytes([number] * 10))
            held = new_run_id(5_000 + number, bytes([number] * 10))
            journal.put_run(run, camera)
            journal.put_run(held, camera)
            for seq in range(each):
                state = FragmentState.NOTICED if seq < each // 2 else FragmentState.STORED
                row = SpooledFragment(camera, run, seq, T0_MS + seq * 4_000, 1_880, "{}", state)
                journal.put_fragment(row, 0)
            journal.end_run(run, T0_MS, "over")
        for _ in range(each):
            journal.put_message(UNDATED_PREFIX + "detection", b"h" * 10)
        for number in range(each):
            journal.put_message("run-started", b"s%d" % number)
        for _ in range(each):
            journal.put_message("detection", b"d" * 10)
    spool._outbox.recount()
    return spool


def steps(spool: Spool, do: Callable[[Spool], object]) -> int:
    """Return how many hundreds of SQLite's instructions something takes."""
    done = 0

    def count() -> int:
        nonlocal done
        done += 1
        return 0

    spool.journal._db.set_progress_handler(count, 100)
    try:
        do(spool)
    finally:
        spool.journal._db.set_progress_handler(None, 0)
    return done


def give_one_up(spool: Spool) -> object:
    [row] = next_to_evict(spool.journal, LIMITS, 9, 1)
    return spool.give_up(row.id, "space")


def free_one(spool: Spool) -> object:
    [row] = spool.journal.waiting.on_disk(FragmentState.NOTICED, 1)
    return spool.journal.drop_fragment(row.id)


def begin_a_run(spool: Spool) -> object:
    run = new_run_id(T0_MS + 99_000_000, bytes(10))
    event = RunStarted(camera="acme/berlin/c0", run=run, started_ms=T0_MS, edge="e1")
    return spool.store(*fragment(0, run=run, camera="acme/berlin/c0"), event)


DOINGS: dict[str, Callable[[Spool], object]] = {
    "store": lambda spool: spool.store(*fragment(0), started()),
    "begin a run": begin_a_run,
    "choose live": lambda spool: spool.waiting(8, from_ms=T0_MS + 100_000),
    "choose backlog": lambda spool: spool.waiting(8, to_ms=T0_MS + 100_000_000),
    "uploaded": lambda spool: spool.uploaded(FragmentId("acme/berlin/c0", RUN, 7)),
    "notices": lambda spool: spool.unnoticed(10),
    "messages": lambda spool: spool.messages(10),
    "undated messages": lambda spool: spool.journal.undated.messages(10),
    "put a message": lambda spool: spool.put_message("detection", b"x" * 10),
    "ends": lambda spool: spool.ends_to_write(20),
    "ends to notice": lambda spool: spool.ends_to_notice(),
    "give up": give_one_up,
    "free": free_one,
    "make room": lambda spool: spool.evict(),
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    return filled(tmp_path_factory.mktemp("few"), FEW)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    return filled(tmp_path_factory.mktemp("many"), MANY)


@pytest.mark.parametrize("name", DOINGS)
def test_nothing_grows_with_what_waits(name: str, few: Spool, many: Spool) -> None:
    assert steps(many, DOINGS[name]) <= steps(few, DOINGS[name]) + 20


def test_a_full_outbox_drops_messages_seldom(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "e1", LIMITS)
    bodies = [encode(started())] * 50
    for _ in range(100):
        spool.put_messages([("detection", body) for body in bodies])
        assert spool._outbox.total_bytes <= LIMITS.outbox_max_bytes
    before = spool.counts().messages
    per_put = [steps(spool, lambda spool: spool.put_message("detection", b"x" * 300))] * 9
    assert sum(per_put) < 100
    assert abs(spool.counts().messages - before) < 60
    spool.close()


def test_starts_of_runs_are_dropped_last_and_keep_the_bound(tmp_path: Path) -> None:
    """A camera that flaps for a week without a line: each time a run starts."""
    limits = SpoolLimits(max_bytes=1 << 40, free_floor_bytes=0, outbox_max_bytes=10_000)
    spool = open_spool(tmp_path, "e1", limits)
    spool.put_message("detection", b"d" * 5_000)
    spool.put_message("heartbeat", b"h" * 3_000)
    for number in range(120):
        run = new_run_id(T0_MS + number, bytes(10))
        spool.store(*fragment(0, run=run), started(run))
        assert spool._outbox.total_bytes == spool.journal.message_bytes() <= 10_000
    kinds = {row.type for row in spool.messages(1_000)}
    assert kinds == {"run-started"}
    newest = new_run_id(T0_MS + 119, bytes(10))
    assert newest.encode() in spool.messages(1_000)[-1].body
    spool.close()
    again = open_spool(tmp_path, "e1", limits)
    assert again.counts().stored == 120
    again.close()
