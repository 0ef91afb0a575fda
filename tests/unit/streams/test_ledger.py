"""Floor, acknowledgements and holes, against an oracle that keeps everything."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.ledger import Ledger


def test_only_an_unbroken_run_is_due() -> None:
    ledger = Ledger.at(10)
    assert ledger.due() is None
    assert ledger.ack(11) and ledger.ack(12)
    assert ledger.due() is None
    assert ledger.ack(10)
    assert ledger.due() == 13


def test_a_hole_in_the_log_is_passed_but_not_an_unacknowledged_offset_before_it() -> None:
    ledger = Ledger.at(0)
    ledger.skip(1, 5)
    ledger.ack(5)
    assert ledger.due() is None
    ledger.ack(0)
    assert ledger.due() == 6


def test_it_stays_due_until_the_broker_took_it() -> None:
    ledger = Ledger.at(None)
    ledger.first(7)
    assert ledger.due() is None
    ledger.ack(7)
    assert ledger.due() == 8
    assert ledger.due() == 8
    ledger.commit(8)
    assert ledger.due() is None


def test_acknowledging_twice_or_too_late_changes_nothing() -> None:
    ledger = Ledger.at(3)
    assert not ledger.ack(2)
    assert ledger.ack(3)
    assert not ledger.ack(3)
    assert ledger.due() == 4
    assert not ledger.ack(3)
    assert not Ledger().ack(0)  # nothing was delivered yet


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=40),
    st.integers(0, 1_000),
    st.data(),
)
def test_the_floor_equals_the_oracles(steps: list[int], start: int, data: st.DataObject) -> None:
    offsets = [start]
    for step in steps:
        offsets.append(offsets[-1] + step)
    ledger = Ledger.at(start)
    for before, after in itertools.pairwise(offsets):
        if after > before + 1:
            ledger.skip(before + 1, after)
    order = data.draw(st.permutations(offsets))
    done: set[int] = set()
    for offset in order:
        ledger.ack(offset)
        done.add(offset)
        if data.draw(st.booleans()):
            ledger.due()
        undone = [o for o in offsets if o not in done]
        processed_before = [o for o in offsets if not undone or o < undone[0]]
        # the floor is past all that is processed, and past no offset that is not
        expected = undone[0] if undone else offsets[-1] + 1
        assert ledger.advance() == (expected if processed_before else start)
    assert ledger.due() == offsets[-1] + 1
    assert not ledger.acked and not ledger.skips


def test_no_commit_passes_an_offset_that_is_held_though_it_is_processed() -> None:
    ledger = Ledger.at(5)
    ledger.hold(6)
    for offset in (5, 6, 7):
        ledger.ack(offset)
    assert ledger.due() == 6
    ledger.release(6)
    assert ledger.due() == 8


def test_releasing_does_not_process() -> None:
    ledger = Ledger.at(0)
    ledger.hold(0)
    ledger.release(0)
    assert ledger.due() is None
    ledger.ack(0)
    assert ledger.due() == 1


def test_what_is_below_the_floor_cannot_be_held() -> None:
    ledger = Ledger.at(3)
    ledger.hold(2)
    ledger.ack(3)
    assert ledger.due() == 4
