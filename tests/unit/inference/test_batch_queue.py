"""The queue of a model: classes, ageing, bounds, batches of equal shapes, cancelled requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.batch_queue import AGE_S, BatchQueue, QueueFullError
from inference.engine import Priority

LIVE, INTERACTIVE, REPLAY = Priority


def items(queue: BatchQueue[str], max_rows: int = 8) -> list[str]:
    """Take a batch; return what is in it."""
    return [queued.item for queued in queue.next_batch(max_rows)]


def test_the_classes_go_in_their_order() -> None:
    queue: BatchQueue[str] = BatchQueue()
    queue.put("replay", 1, REPLAY, (), 0.0)
    queue.put("person", 1, INTERACTIVE, (), 1.0)
    queue.put("live", 1, LIVE, (), 2.0)
    assert items(queue) == ["live", "person", "replay"]
    assert items(queue) == []


def test_a_replay_that_waited_goes_before_new_live_footage() -> None:
    queue: BatchQueue[str] = BatchQueue()
    queue.put("replay", 1, REPLAY, (), 0.0)
    queue.put("soon", 1, LIVE, (), 2 * AGE_S - 0.1)
    queue.put("late", 1, LIVE, (), 2 * AGE_S + 0.1)
    assert items(queue, 1) == ["soon"]
    assert items(queue, 1) == ["replay"]
    assert items(queue, 1) == ["late"]


def test_a_batch_has_at_most_its_rows_and_one_shape() -> None:
    queue: BatchQueue[str] = BatchQueue()
    for number, (rows, shapes) in enumerate([(2, "a"), (1, "b"), (3, "a"), (4, "a"), (1, "a")]):
        queue.put(f"{number}", rows, LIVE, shapes, float(number))
    assert items(queue) == ["0", "2"], "the next one would be row 9: it is not passed over"
    assert items(queue) == ["1"]
    assert items(queue) == ["3", "4"]


def test_a_request_above_the_batch_is_computed_by_itself() -> None:
    queue: BatchQueue[str] = BatchQueue()
    queue.put("large", 20, LIVE, (), 0.0)
    queue.put("small", 1, LIVE, (), 1.0)
    assert items(queue) == ["large"]
    assert items(queue) == ["small"]


def test_a_class_that_is_full_refuses_only_its_own() -> None:
    queue: BatchQueue[str] = BatchQueue({LIVE: 2, INTERACTIVE: 2, REPLAY: 2})
    queue.put("a", 1, REPLAY, (), 0.0)
    queue.put("b", 1, REPLAY, (), 0.0)
    with pytest.raises(QueueFullError):
        queue.put("c", 1, REPLAY, (), 0.0)
    queue.put("d", 2, LIVE, (), 0.0)
    assert queue.rows == 4


def test_a_request_that_is_removed_is_never_computed_and_frees_its_place() -> None:
    queue: BatchQueue[str] = BatchQueue({LIVE: 1, INTERACTIVE: 1, REPLAY: 1})
    gone = queue.put("gone", 1, LIVE, (), 0.0)
    queue.remove(gone)
    queue.remove(gone)
    queue.put("here", 1, LIVE, (), 1.0)
    assert queue.arrival_s() == 1.0
    assert items(queue) == ["here"]
    assert queue.rows == 0


def test_what_was_put_back_keeps_its_rank_and_goes_alone() -> None:
    queue: BatchQueue[str] = BatchQueue()
    queue.put("first", 1, LIVE, (), 0.0)
    [taken] = queue.next_batch(1)
    queue.put("second", 1, LIVE, (), 1.0)
    queue.put("third", 1, LIVE, (), 2.0)
    taken.alone = True
    queue.put_back(taken)
    assert items(queue) == ["first"]
    assert items(queue) == ["second", "third"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Priority)), st.integers(1, 6), st.integers(0, 2), st.booleans()
        ),
        max_size=40,
    ),
    st.integers(1, 8),
)
def test_each_request_is_taken_once_or_was_removed(
    requests: list[tuple[Priority, int, int, bool]], max_rows: int
) -> None:
    queue: BatchQueue[int] = BatchQueue(dict.fromkeys(Priority, 10_000))
    removed = set()
    for number, (priority, rows, shapes, remove) in enumerate(requests):
        queued = queue.put(number, rows, priority, shapes, float(number))
        if remove:
            queue.remove(queued)
            removed.add(number)
    taken: list[int] = []
    while batch := queue.next_batch(max_rows):
        assert sum(one.rows for one in batch) <= max_rows or len(batch) == 1
        assert len({one.shapes for one in batch}) == 1
        taken += [one.item for one in batch]
    assert sorted(taken) == [n for n in range(len(requests)) if n not in removed]
    assert queue.rows == 0
