"""What a judgement comes to: each fragment named once, tombstones bounded, holds heard again."""

import random
from typing import Any

import pytest

from domain.deletions import (
    MOST_KEYS,
    Candidate,
    ChunkKept,
    Deletion,
    FragmentKept,
    agreed,
    batches,
    marks_of,
    of_chunks,
    of_fragments,
)
from domain.gaps import NEVER_ARRIVED
from domain.retention import DAY_MS, Footage, Hold, Judgement, Margins, Policy, Reason, Rule
from domain.seqs import SeqRanges

CAMERA = "acme/hq/gate"
RUN = "01931111-1111-7111-8111-111111111111"
OTHER = "01932222-2222-7222-8222-222222222222"
NOW_MS = 1_000 * DAY_MS
MINUTE_MS = 60_000


def chunk(first: int, last: int, run: str = RUN, **more: Any) -> ChunkKept:
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
        "footage": Footage(start_ms, start_ms + MINUTE_MS, revision=1),
    }
    return ChunkKept(**{**fields, **more})


def candidate(of: ChunkKept, *may_go: Reason) -> Candidate:
    return Candidate(of, Judgement(frozenset(may_go)))


def named(deletions: list[Deletion]) -> list[tuple[str, str, str, int | None, int | None]]:
    return [(each.run, each.what, each.cause, each.first_seq, each.last_seq) for each in deletions]


def test_fragments_of_a_run_are_named_together_by_reason() -> None:
    deletions = of_chunks(
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
        FragmentKept(RUN, seq, 10, Footage(seq * 4_000, seq * 4_000 + 4_000))
        for seq in range(2 * MOST_KEYS + 500)
        if seq != 700
    ]
    random.Random(7).shuffle(rows)
    deletions = of_fragments(CAMERA, rows, NOW_MS)
    assert [(each.first_seq, each.last_seq) for each in deletions] == [
        (0, 699),
        (701, 1_700),
        (1_701, 2_499),
    ]
    assert sum(each.size_bytes for each in deletions) == 10 * len(rows)
    assert [each.from_ms // 4_000 for each in deletions] == [0, 701, 1_701]


@pytest.mark.parametrize(
    ("gap", "goes"),
    [
        ({"reason": "its bytes are not those told"}, True),
        ({"reason": NEVER_ARRIVED}, False),  # no object stands
        ({"reason": "its bytes are not those told", "last_seq": 6}, False),  # not one fragment's
        ({"reason": "its bytes are not those told", "from_ms": MINUTE_MS}, False),  # the next's
    ],
)
def test_what_was_left_out_goes_with_the_chunk_of_its_window(
    gap: dict[str, Any], goes: bool
) -> None:
    whole = {"first_seq": 5, "last_seq": 5, "from_ms": 20_000, **gap}
    seqs = SeqRanges([(0, 4), (6, 14)])
    aged = candidate(chunk(0, 14, seqs=seqs, gaps=(whole,)), "age")
    fragments = [each for each in of_chunks(CAMERA, [aged], NOW_MS) if each.what == "fragments"]
    gone = {seq for each in fragments for seq in each.fragments}
    assert gone == set(seqs) | ({5} if goes else set())


def test_fragments_that_went_as_joined_are_not_named_again_for_their_age() -> None:
    footage = Footage(0, MINUTE_MS, revision=1, joined_gone=1)
    deletions = of_chunks(CAMERA, [candidate(chunk(0, 14, footage=footage), "age")], NOW_MS)
    assert named(deletions) == [(RUN, "chunk", "age", None, None)]
    assert deletions[0].event().digest is None, "whatever its revision"


def test_only_what_is_current_and_still_may_go_is_agreed() -> None:
    first, second, third = chunk(0, 14), chunk(15, 29), chunk(30, 44)
    found = [candidate(each, "age") for each in (first, second, third)]
    policy = Policy(
        [Rule("acme", 1)], [Hold(CAMERA, second.window_start_ms, second.window_start_ms + 1)]
    )
    # the first's last millisecond is not the hold's; the third was made again meanwhile
    current = {(each.window_start_ms, each.run) for each in (first, second)}
    left = agreed(CAMERA, found, current, policy, NOW_MS)
    assert [each.chunk for each in left] == [first]
    assert agreed(CAMERA, found, current, Policy(), NOW_MS) == [], "the rule was cleared"
    margins = Policy((), (), Margins(0, 0))
    (joined,) = agreed(CAMERA, [candidate(first, "joined")], current, margins, NOW_MS)
    (mark,) = marks_of([joined])
    assert (mark.joined, mark.older) == (True, False)


def test_batches_stay_within_one_request_and_keep_the_order() -> None:
    chance = random.Random(11)
    deletions = []
    for id_ in range(300):
        many = chance.choice([None, 1, 40, MOST_KEYS])
        deletions.append(
            Deletion(
                *(CAMERA, RUN, "fragments" if many else "chunk", "age", 0, 1, 1, NOW_MS),
                first_seq=many and 0,
                last_seq=many and many - 1,
                id=id_,
            )
        )
    made = list(batches(deletions))
    assert [each for batch in made for each in batch] == deletions
    assert all(sum(len(each.fragments) or 10 for each in batch) <= MOST_KEYS for batch in made)
    assert len(made) < len(deletions)
