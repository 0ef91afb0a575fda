"""One partition by plain calls: what a fetch brings, what is committed, what a rebalance leaves.

The causes are those of docs/design/delivery.md. test_causes.py forces them on Faust's own consumer
and on ours; here the rule alone is asked.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.partition_state import (
    DELIVER,
    WAIT,
    Deliver,
    Expired,
    JumpRecovered,
    LogRestarted,
    PartitionState,
    Rewind,
)


def fetch(state: PartitionState, *offsets: int, **options: Any) -> list[int]:
    """Fetch records one by one, as a test's client; return what was delivered."""
    state.begin_fetch(offsets[0], offsets[-1], **options)
    delivered = []
    for offset in offsets:
        answer = state.fetched(offset)
        if isinstance(answer, Deliver):
            state.start(offset, offset)
            state.delivered(offset)
            delivered.append(offset)
    if (to := state.end_fetch()) is not None:
        state.rewound(to)
    return delivered


# 1. A fetch drained what was paused during it.


def test_cause_1_what_a_pause_kept_back_is_fetched_again() -> None:
    state = PartitionState.positioned(0)
    state.begin_fetch(0, 9)
    assert state.fetched(0) == DELIVER
    assert state.start(0, 3) is None
    state.delivered(3)
    assert state.fetched(4, paused=True) == WAIT
    assert state.fetched(5) == WAIT, "not before 4: its order would break"
    assert state.end_fetch() == Rewind(4)
    assert state.rewound(Rewind(4)) == 6
    assert state.expected == 4


# 2. Records were handed over and no stream has them: they were not delivered.


def test_cause_2_what_no_stream_took_is_fetched_again() -> None:
    state = PartitionState.positioned(0)
    state.begin_fetch(0, 2)
    assert state.fetched(0) == DELIVER
    state.start(0, 2)
    assert state.end_fetch() == Rewind(0)
    state.rewound(Rewind(0))
    assert fetch(state, 0, 1, 2) == [0, 1, 2]


# 3. A stretch that was lost is not taken for processed.


def test_cause_3_a_jump_is_gone_back_to_before_it_is_believed() -> None:
    state = PartitionState.positioned(5)
    state.begin_fetch(12, 19)
    assert state.fetched(12) == Rewind(5)
    assert state.fetched(13) == WAIT
    back = state.end_fetch()
    assert back == Rewind(5)
    assert state.rewound(back) == 15
    assert state.committable() is None
    state.begin_fetch(5, 19)
    assert state.fetched(5) == DELIVER
    assert state.start(5, 19) == JumpRecovered(5, 12)
    state.delivered(19)
    assert state.end_fetch() is None
    state.acked(range(5, 20))
    assert state.committable() == 20


def test_a_hole_that_is_seen_twice_is_one_in_the_log() -> None:
    state = PartitionState.positioned(0)
    assert fetch(state, 0, 1, 2, 7, 8) == [0, 1, 2]
    state.begin_fetch(7, 8)
    assert state.fetched(7) == Deliver((3, 7))
    assert state.start(7, 8) is None
    state.delivered(8)
    state.acked((0, 1, 2, 7, 8))
    assert state.committable() == 9


def test_another_hole_is_checked_again() -> None:
    state = PartitionState.positioned(0)
    assert fetch(state, 5) == []
    state.begin_fetch(3, 5)
    assert state.fetched(3) == Rewind(0)


@pytest.mark.parametrize(
    ("log_start", "finding"),
    [
        (0, None),  # the log has a hole, and began long before: compaction, or a transaction
        (3, None),
        (5, Expired(3, 2)),  # a part of it was removed by retention
        (7, Expired(3, 4)),
        (9, Expired(3, 4)),  # retention moved on in between
    ],
)
def test_what_retention_took_is_reported(log_start: int, finding: Expired | None) -> None:
    state = PartitionState.positioned(3)
    fetch(state, 7, 8)
    state.begin_fetch(7, 8)
    assert state.fetched(7) == Deliver((3, 7))
    assert state.start(7, 8, log_start=log_start) == finding


def test_a_log_that_has_holes_by_nature_is_believed_at_once() -> None:
    state = PartitionState.positioned(0)
    assert fetch(state, 0, 4, 9, has_holes=True) == [0, 4, 9]
    state.acked((0, 4, 9))
    assert state.committable() == 10


def test_a_log_that_starts_again_is_committed_from_its_start() -> None:
    state = PartitionState.positioned(500)
    state.begin_fetch(0, 2)
    assert state.fetched(0) == DELIVER
    assert state.start(0, 2) == LogRestarted(0)
    state.delivered(2)
    state.acked(range(3))
    assert state.committable() == 3


# 4. One record that is not acknowledged holds commits back.


def test_cause_4_one_unacknowledged_record_holds_commits_back() -> None:
    state = PartitionState.positioned(1)
    assert fetch(state, 1, 2, 3) == [1, 2, 3]
    assert state.acked((2, 3)) == 2
    assert state.committable() is None
    state.acked((1,))
    assert state.committable() == 4


# 5. What was done is committed before the partition is forgotten; afterwards it counts for nothing.


def test_cause_5_acknowledgements_are_kept_until_the_partition_is_revoked() -> None:
    state = PartitionState.positioned(0)
    fetch(state, 0, 1, 2)
    state.acked((0, 1))
    assert state.committable() == 2
    state.committed(2)
    state.revoked()
    assert state.acked((2,)) == 0
    assert state.committable() is None


# 6. A commit that waits for table updates, or is refused, is still due afterwards.


def test_cause_6_a_commit_is_due_until_the_broker_took_it() -> None:
    state = PartitionState.positioned(0)
    fetch(state, 0, 1)
    state.acked((0, 1))
    assert [state.committable(), state.committable()] == [2, 2]
    state.committed(2)
    assert state.committable() is None


def test_a_partition_without_a_position_starts_at_its_first_record() -> None:
    state = PartitionState.positioned(None)
    assert fetch(state, 7, 8) == [7, 8]
    state.acked((7, 8))
    assert state.committable() == 9


def test_a_changelog_commits_nothing() -> None:
    state = PartitionState()
    state.begin_fetch(3, 9, has_holes=True)
    assert state.fetched(3) == DELIVER
    assert state.start(3, 9, tracked=False) is None
    state.delivered(9)
    assert state.end_fetch() is None
    assert state.ledger is None and state.committable() is None


def test_each_partition_rewinds_to_its_first_record_that_was_not_delivered() -> None:
    whole, cut, held = (PartitionState.positioned(at) for at in (0, 5, 1))
    for state, first, last in ((whole, 0, 2), (cut, 5, 9), (held, 1, 1)):
        state.begin_fetch(first, last)
    for offset in range(3):
        whole.delivered(offset)
    cut.delivered(5)
    assert held.fetched(1, paused=True) == WAIT
    assert [state.end_fetch() for state in (whole, cut, held)] == [None, Rewind(6), Rewind(1)]


def test_only_a_batch_of_this_generation_grows() -> None:
    state = PartitionState.positioned(0)
    assert state.grow([1], 1) is None, "none waits"
    state.waiting = SimpleNamespace(records=[0], generation_id=1)
    assert state.grow([1, 2], 1) is state.waiting
    assert state.waiting.records == [0, 1, 2]
    assert state.grow([3], 2) is None
    state.revoked()
    assert state.grow([3], 1) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fetch", "fetch", "jump", "stop", "pause", "ack", "commit", "move"]),
        st.integers(1, 4),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_nothing_is_committed_that_was_not_acknowledged(
    steps: Sequence[tuple[str, int]],
) -> None:
    """The client's position against the state: jumps of the client, stops, pauses, rebalances.

    A jump over the same records twice in a row is taken for a hole in the log: see the design note.
    """
    log = 40
    position = committed = 0
    state = PartitionState.positioned(0)
    in_progress: list[int] = []
    done: set[int] = set()
    for what, count in [*steps, ("fetch", 0), ("fetch", 0), ("fetch", 0)]:
        match what:
            case "fetch" | "stop" | "pause" if position < log:
                state.begin_fetch(position, log - 1)
                stop_after = count if what != "fetch" else log
                for number, offset in enumerate(range(position, log)):
                    answer = state.fetched(offset, paused=what == "pause" and number >= stop_after)
                    if not isinstance(answer, Deliver):
                        continue
                    if what == "stop" and number >= stop_after:
                        break
                    state.start(offset, offset)
                    in_progress.append(offset)
                    state.delivered(offset)
                position = log
                if (to := state.end_fetch()) is not None:
                    position = to.offset
                    state.rewound(to)
            case "jump" if state.unverified is None:  # not twice over the same records
                position = min(log, position + count)
            case "ack":
                for _ in range(min(count, len(in_progress))):
                    offset = in_progress.pop(0)
                    done.add(offset)
                    state.acked((offset,))
            case "commit":
                if (offset_due := state.committable()) is not None:
                    committed = offset_due
                    state.committed(offset_due)
            case "move":
                state.revoked()
                state = PartitionState.positioned(committed)
                position = committed
                in_progress.clear()
        assert set(range(committed)) <= done
    for offset in in_progress:
        done.add(offset)
    state.acked(in_progress)
    if position == log and state.expected == log:
        assert state.committable() in (log, None)
        assert done >= set(range(log)) or committed == log
