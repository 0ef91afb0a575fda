"""A spool folder that the version before wrote is opened by this one: nothing is lost.

See tests/data/spool_c326cfd/README.md for what is in the folder.
"""

import shutil
from pathlib import Path

import pytest

from domain.events import FragmentArrived, RunStarted
from domain.identity import FragmentId, new_run_id
from domain.unset_clock import true_run
from edge_bridge.clock import EdgeClock
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.recovery import RESTARTED
from edge_bridge.spool.rows import FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from tests.unit.edge_bridge.material import CAMERA, RUN, SECOND_RUN, T0_MS, fragment

OLD = Path(__file__).parents[2] / "data" / "spool_c326cfd" / "spool"
UNDATED_RUN = new_run_id(60_000, bytes(6) + bytes.fromhex("0a0b0c0d"))
SHIFT_MS = 1_790_000_000_000
TRUE_RUN = true_run(UNDATED_RUN, SHIFT_MS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "spool"))


def opened(folder: Path) -> Spool:
    """Return the old spool, opened once the device's clock is right."""
    clock = EdgeClock(lambda: SHIFT_MS + 90_000, lambda: 90_000, "0a0b0c0d")
    limits = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
    return open_spool(folder, "e1", limits, clock=clock)


def test_every_fragment_of_the_version_before_is_found(folder: Path) -> None:
    spool = opened(folder)
    while spool.stamp_undated():
        pass
    assert not list(folder.glob("journal.damaged-*")), "the old journal is used as it is"
    waiting = {row.id: row for row in spool.waiting(100)}
    assert set(waiting) == {
        # 4 and 5 waited; 6 was on the disk without a row
        *(FragmentId(CAMERA, RUN, seq) for seq in (4, 5, 6)),
        *(FragmentId(CAMERA, SECOND_RUN, seq) for seq in (0, 2)),
        *(FragmentId(CAMERA, TRUE_RUN, seq) for seq in (0, 1)),
    }
    for one, row in waiting.items():
        run = UNDATED_RUN if one.run == TRUE_RUN else one.run
        event, data = fragment(one.seq, run=run)
        assert spool.files.read(CAMERA, one.run, one.seq, row.size) == data
        stored = spool.event_of(row)
        assert stored is not None and stored.sha256 == event.sha256
        path = spool.files.path(CAMERA, one.run, one.seq)
        assert stored.with_previous(None) == spool.files.inspect(path)
        # The version before did not store the hash of the fragment before. Recovery finds it.
        known = fragment(5)[0].sha256 if one == FragmentId(CAMERA, RUN, 6) else None
        assert stored.prev_sha256 == known
        if one.run == TRUE_RUN:
            assert stored.start_ms == SHIFT_MS + 60_000 + one.seq * 4_000
        else:
            assert stored.with_previous(None) == event
    states = {one.seq: state for one, state, _ in spool.journal.rows_of_run(RUN)}
    assert states[0] is FragmentState.NOTICED and states[1] is FragmentState.UPLOADED
    assert [row.id for row in spool.unnoticed(9)] == [FragmentId(CAMERA, RUN, 1)]
    spool.close()


def test_every_message_of_the_version_before_is_found(folder: Path) -> None:
    spool = opened(folder)
    while spool.stamp_undated():
        pass
    messages = spool.messages(100)
    assert [message.type for message in messages] == [
        "detection",
        "run-started",
        "heartbeat",
        "run-started",
        "detection",
    ]
    assert f'"at_ms":{T0_MS + 1}'.encode() in messages[0].body.replace(b" ", b"")
    assert RunStarted.model_validate_json(messages[1].body).run == SECOND_RUN
    assert messages[2].body == b'{"type":"heartbeat","v":1}'
    undated = RunStarted.model_validate_json(messages[3].body)
    assert (undated.run, undated.started_ms) == (TRUE_RUN, SHIFT_MS + 60_000)
    assert TRUE_RUN.encode() in messages[4].body
    assert str(SHIFT_MS + 60_001).encode() in messages[4].body
    spool.close()


def test_what_the_version_before_gave_up_is_still_listed(folder: Path) -> None:
    spool = opened(folder)
    assert [(one.run, one.first_seq, one.last_seq, one.why) for one in read_losses(folder)] == [
        (RUN, 2, 2, "damaged"),
        (RUN, 3, 3, "other bytes stand in S3"),
        (SECOND_RUN, 1, 1, "disk disk"),
    ]
    run = folder / "fragments" / CAMERA / RUN
    assert {path.name for path in run.iterdir() if path.suffix != ".frag"} == {
        "00000002.damaged",
        "00000003.refused",
    }, "quarantined files stay; the file that was being written is removed"
    spool.close()


def test_the_runs_of_the_version_before_end_with_all_that_they_had(folder: Path) -> None:
    spool = opened(folder)
    while spool.stamp_undated():
        pass
    for row in spool.waiting(100):
        spool.uploaded(row.id)
    notices = spool.unnoticed(100)
    assert all(FragmentArrived.model_validate_json(row.event) for row in notices)
    spool.sent([row.id for row in notices], spool.messages(100), [])
    ends = {run.run: event for run, event in spool.ends_to_write(9)}
    assert {run: (event.last_seq, event.reason, event.given_up) for run, event in ends.items()} == {
        RUN: (6, RESTARTED, [(2, 3)]),
        SECOND_RUN: (2, "camera closed", [(1, 1)]),
        TRUE_RUN: (1, "the clock was set", []),
    }
    for run, event in ends.items():
        spool.end_written(run, event)
    assert len(spool.ends_to_notice()) == 3
    spool.sent([], [], list(ends))
    assert spool.counts().idle
    spool.close()
