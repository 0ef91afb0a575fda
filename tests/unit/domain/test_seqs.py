"""Sets of seqs kept as ranges, against Python's own sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.seqs import SeqRanges

SEQS = st.integers(0, 60)
SETS = st.sets(SEQS, max_size=30)
RANGES = st.lists(st.tuples(SEQS, st.integers(0, 9)).map(lambda r: (r[0], r[0] + r[1])), max_size=9)


@given(SETS)
def test_holds_what_was_put_in(seqs: set[int]) -> None:
    ranges = SeqRanges.of(seqs)
    assert list(ranges) == sorted(seqs)
    assert len(ranges) == len(seqs)
    assert bool(ranges) == bool(seqs)
    assert [seq in ranges for seq in range(-1, 62)] == [seq in seqs for seq in range(-1, 62)]


@given(RANGES)
def test_ranges_ascend_and_never_touch(given_ranges: list[tuple[int, int]]) -> None:
    ranges = SeqRanges(given_ranges)
    assert set(ranges) == {seq for low, high in given_ranges for seq in range(low, high + 1)}
    edges = [edge for pair in ranges.ranges for edge in pair]
    assert edges == sorted(edges)
    assert all(after - before > 1 for before, after in zip(edges[1::2], edges[2::2], strict=False))
    assert SeqRanges.of(ranges) == ranges, "one form for each set"


@given(SETS, SETS, SEQS)
def test_union_and_add(some: set[int], others: set[int], seq: int) -> None:
    assert SeqRanges.of(some) | SeqRanges.of(others) == SeqRanges.of(some | others)
    assert hash(SeqRanges.of(some) | SeqRanges.of(others)) == hash(SeqRanges.of(some | others))
    assert SeqRanges.of(some).add(seq) == SeqRanges.of(some | {seq})


@given(SETS, SEQS, SEQS)
def test_questions_about_a_part(seqs: set[int], first: int, last: int) -> None:
    ranges, part = SeqRanges.of(seqs), range(first, last + 1)
    assert set(SeqRanges(ranges.missing(first, last))) == set(part) - seqs
    assert set(ranges.within(first, last)) == set(part) & seqs
    assert ranges.without(first, last) == SeqRanges.of(seqs - set(part))
    assert ranges.below(first) == max((seq for seq in seqs if seq < first), default=None)
    assert ranges.above(first) == min((seq for seq in seqs if seq > first), default=None)


@given(SETS, st.integers(1, 9))
def test_bounded_adds_only_what_lies_between_the_oldest(seqs: set[int], most: int) -> None:
    ranges = SeqRanges.of(seqs)
    bounded = ranges.bounded(most)
    assert len(bounded.ranges) == min(most, len(ranges.ranges))
    oldest = bounded.ranges[0] if seqs else (0, -1)
    assert set(bounded) == seqs | set(range(oldest[0], oldest[1] + 1))
    assert bounded.ranges[1:] == ranges.ranges[len(ranges.ranges) - len(bounded.ranges) + 1 :]


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match=r"5\.\.3 is backwards"):
        SeqRanges([(5, 3)])
