"""What a judgement comes to: each fragment named once, tombstones bounded, holds heard again."""

import random
from typing import Any

import pytest

from domain.deletions import (
    MAX_KEYS,
    ChunkDeletion,
    Deletion,
    DeletionCandidate,
    FragmentsDeletion,
    RetainedChunk,
    RetainedFragment,
    chunk_deletions,
    fragment_deletions,
    in_batches,
    revision_marks,
    still_deletable,
)
from domain.gaps import NEVER_ARRIVED
from domain.retention import (
    DAY_MS,
    Judgement,
    LegalHold,
    Margins,
    Reason,
    RetainedFootage,
    RetentionPolicy,
    RetentionRule,
)
from domain.seqs import SeqRanges

CAMERA = "acme/hq/gate"
RUN = "01931111-1111-7111-8111-111111111111"
OTHER = "01932222-2222-7222-8222-222222222222"
NOW_MS = 1_000 * DAY_MS
MINUTE_MS = 60_000


def chunk(first: int, last: int, run: str = RUN, **more: Any) -> RetainedChunk:
    """Return a chunk of a minute whose start follows from its first seq, 4 s a fragment."""
    start_ms = first * 4_000
    fields: dict[str, Any] = {
        "window_start_ms": start_ms,
        "run": run,
        "window_ms": MINUTE_MS,
        "revision": 1,
        "digest": "0" * 16,
        "object_key": "chunks/x.ts",
        "size_bytes": 100 * (last - first + 1),
        "seqs": SeqRanges([(first, last)]),
        "gaps": (),
        "footage": RetainedFootage(start_ms, start_ms + MINUTE_MS, revision=1),
    }
    return RetainedChunk(**{**fields, **more})


def candidate(chunk_: RetainedChunk, *deletable: Reason) -> DeletionCandidate:
    return DeletionCandidate(chunk_, Judgement(frozenset(deletable)))


def named(deletions: list[Deletion]) -> list[tuple[str, str, str, int | None, int | None]]:
    events = [each.event() for each in deletions]
    return [
        (event.run, event.what, each.cause, event.first_seq, event.last_seq)
        for each, event in zip(deletions, events, strict=True)
    ]


def test_fragments_of_a_run_are_named_together_by_reason() -> None:
    deletions = chunk_deletions(
        CAMERA,
        [
            candidate(chunk(0, 14), "joined"),
            candidate(chunk(15, 29), "joined"),
            candidate(chunk(0, 14, OTHER), "joined"),
            candidate(chunk(30, 44), "age"),
        ],
        NOW_MS,
    )
    assert named(deletions) == [
        (RUN, "chunk", "age", None, None),
        (RUN, "fragments", "joined", 0, 29),
        (OTHER, "fragments", "joined", 0, 14),
        (RUN, "fragments", "age", 30, 44),
    ]
    assert [each.size_bytes for each in deletions] == [1_500, 3_000, 1_500, 1_500]
    joined = deletions[1]
    assert (joined.from_ms, joined.to_ms) == (0, 15 * 4_000 + MINUTE_MS), "a hold on either counts"


def test_a_tombstone_names_at_most_so_many_and_every_seq_once() -> None:
    rows = [
        RetainedFragment(RUN, seq, 10, RetainedFootage(seq * 4_000, seq * 4_000 + 4_000))
        for seq in range(2 * MAX_KEYS + 500)
        if seq != 700
    ]
    random.Random(7).shuffle(rows)
    deletions = fragment_deletions(CAMERA, rows, NOW_MS)
    assert [(first, last) for *_, first, last in named(deletions)] == [
        (0, 699),
        (701, 1_700),
        (1_701, 2_499),
    ]
    assert sum(each.size_bytes for each in deletions) == 10 * len(rows)
    assert [each.from_ms // 4_000 for each in deletions] == [0, 701, 1_701]


@pytest.mark.parametrize(
    ("gap", "goes"),
    [
        ({"reason": "its bytes do not match"}, True),
        ({"reason": NEVER_ARRIVED}, False),  # there is no object
        ({"reason": "its bytes do not match", "last_seq": 6}, False),  # not one fragment's
        ({"reason": "its bytes do not match", "from_ms": MINUTE_MS}, False),  # the next's
    ],
)
def test_what_was_left_out_goes_with_the_chunk_of_its_window(
    gap: dict[str, Any], goes: bool
) -> None:
    whole = {"first_seq": 5, "last_seq": 5, "from_ms": 20_000, **gap}
    seqs = SeqRanges([(0, 4), (6, 14)])
    aged = candidate(chunk(0, 14, seqs=seqs, gaps=(whole,)), "age")
    fragments = [
        each
        for each in chunk_deletions(CAMERA, [aged], NOW_MS)
        if isinstance(each, FragmentsDeletion)
    ]
    gone = {seq for each in fragments for seq in each.fragments}
    assert gone == set(seqs) | ({5} if goes else set())


def test_fragments_that_were_deleted_as_joined_are_not_named_again_for_their_age() -> None:
    footage = RetainedFootage(0, MINUTE_MS, revision=1, joined_gone=1)
    deletions = chunk_deletions(CAMERA, [candidate(chunk(0, 14, footage=footage), "age")], NOW_MS)
    assert named(deletions) == [(RUN, "chunk", "age", None, None)]
    assert deletions[0].event().digest is None, "whatever its revision"


def test_only_current_chunks_that_are_still_deletable_are_left() -> None:
    first, second, third = chunk(0, 14), chunk(15, 29), chunk(30, 44)
    found = [candidate(each, "age") for each in (first, second, third)]
    policy = RetentionPolicy(
        [RetentionRule("acme", 1)],
        [LegalHold(CAMERA, second.window_start_ms, second.window_start_ms + 1)],
    )
    # the first's last millisecond is not the hold's; the third has a new revision
    current = {(each.window_start_ms, each.run) for each in (first, second)}
    left = still_deletable(CAMERA, found, current, policy, NOW_MS)
    assert [each.chunk for each in left] == [first]
    assert still_deletable(CAMERA, found, current, RetentionPolicy(), NOW_MS) == [], (
        "the rule was cleared"
    )
    margins = RetentionPolicy((), (), Margins(0, 0))
    (joined,) = still_deletable(CAMERA, [candidate(first, "joined")], current, margins, NOW_MS)
    (mark,) = revision_marks([joined])
    assert (mark.joined, mark.older) == (True, False)


def test_batches_stay_within_one_request_and_keep_the_order() -> None:
    chance = random.Random(11)
    decided: dict[str, Any] = {
        "camera": CAMERA,
        "run": RUN,
        "cause": "age",
        "from_ms": 0,
        "to_ms": 1,
        "size_bytes": 1,
        "decided_ms": NOW_MS,
    }
    deletions: list[Deletion] = []
    for id_ in range(300):
        many = chance.choice([None, 1, 40, MAX_KEYS])
        deletions.append(
            FragmentsDeletion(**decided, id=id_, first_seq=0, last_seq=many - 1)
            if many
            else ChunkDeletion(**decided, id=id_, window_start_ms=0)
        )
    made = list(in_batches(deletions))
    assert [each for batch in made for each in batch] == deletions
    assert all(sum(each.key_count for each in batch) <= MAX_KEYS for batch in made)
    assert len(made) < len(deletions)
