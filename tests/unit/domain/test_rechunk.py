"""Other windows: each fragment once, its gaps with it, and no change the second time.

60 s   [---------- 0 .. 14 ----------)[--------- 15 .. 29 ---------)
20 s   [- 0..4 -)[- 5..9 -)[- 10..14 )[ …
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.chunks import digest_of
from domain.errors import ConfigError
from domain.events import ChunkComplete, ChunkDue, Gap, ManifestFragment
from domain.identity import chunk_key, new_run_id
from domain.rechunk import ExistingWindow, aligned, border_ms, in_existing_windows, plan_rechunk
from domain.seqs import SeqRanges

CAMERA = "acme/hq/gate"
T0 = 1_790_000_040_000
"""A multiple of 2 min."""
RUNS = (new_run_id(T0, bytes(10)), new_run_id(T0 + 1, bytes(10)))


def chunk(run: str, window_start_ms: int, window_ms: int, seqs: list[int]) -> ChunkComplete:
    """Return a chunk of fragments of 4 s; seq n starts 4 n s after T0."""
    fragments = [
        ManifestFragment(
            seq=seq,
            start_ms=T0 + 4_000 * seq,
            duration_ms=4_000,
            start_pts=360_000 * seq,
            size_bytes=188,
            sha256=f"{seq:064x}",
            offset=188 * at,
        )
        for at, seq in enumerate(seqs)
    ]
    holes = [seq for seq in range(seqs[0], seqs[-1]) if seq not in seqs]
    gaps = [
        Gap(from_ms=T0 + 4_000 * seq, to_ms=T0 + 4_000 * seq + 4_000, first_seq=seq, last_seq=seq,
            reason="never arrived in the cloud")
        for seq in holes
    ]  # fmt: skip
    digest = digest_of(CAMERA, run, fragments)
    return ChunkComplete(
        camera=CAMERA,
        run=run,
        window_start_ms=window_start_ms,
        window_ms=window_ms,
        revision=1,
        digest=digest,
        object_key=chunk_key(CAMERA, run, window_start_ms, window_ms, digest),
        size_bytes=188 * len(seqs),
        sha256="ab" * 32,
        start_ms=fragments[0].start_ms,
        end_ms=fragments[-1].start_ms + 4_000,
        reason="complete",
        video_codec="h264",
        width=96,
        height=64,
        fragments=fragments,
        gaps=gaps,
        joined_ms=T0,
    )


def cut(run: str, seqs: list[int], window_ms: int) -> list[ChunkComplete]:
    """Return the chunks of one run's fragments."""
    windows: dict[int, list[int]] = {}
    for seq in sorted(seqs):
        windows.setdefault((T0 + 4_000 * seq) // window_ms * window_ms, []).append(seq)
    return [chunk(run, start, window_ms, held) for start, held in sorted(windows.items())]


def as_chunk(due: ChunkDue) -> ChunkComplete:
    made = chunk(due.run, due.window_start_ms, due.window_ms, [f.seq for f in due.fragments])
    return made.model_copy(update={"gaps": due.gaps})


def test_sixty_seconds_become_twenty() -> None:
    old = cut(RUNS[0], list(range(30)), 60_000)
    now = plan_rechunk(old, 20_000)
    assert list(now.replaced) == old
    assert [[each.seq for each in due.fragments] for due in now.made] == [
        list(range(at, at + 5)) for at in range(0, 30, 5)
    ]


def test_what_would_hold_the_same_stays() -> None:
    """A run of 20 s in a window of 60: its chunk would have the same name in a tombstone."""
    short = cut(RUNS[0], list(range(5)), 60_000)
    assert plan_rechunk(short, 30_000).made == ()
    assert plan_rechunk(short, 30_000).replaced == ()
    both = [*short, *cut(RUNS[1], list(range(15)), 60_000)]
    assert {each.run for each in plan_rechunk(both, 30_000).replaced} == {RUNS[1]}


def test_a_gap_is_reported_with_the_footage_after_it() -> None:
    old = cut(RUNS[0], [0, 1, 8, 9, 14], 60_000)
    now = plan_rechunk(old, 20_000)
    reported = {due.fragments[0].seq: [gap.first_seq for gap in due.gaps] for due in now.made}
    assert reported == {0: [], 8: [2, 3, 4, 5, 6, 7], 14: [10, 11, 12, 13]}


@given(
    held=st.lists(st.sets(st.integers(0, 60), min_size=1), min_size=1, max_size=2),
    old=st.sampled_from([20_000, 30_000, 60_000, 120_000]),
    new=st.sampled_from([10_000, 20_000, 30_000, 40_000, 60_000, 120_000]),
    third=st.sampled_from([20_000, 30_000, 60_000]),
)
def test_each_fragment_is_in_one_chunk_and_again_changes_nothing(
    held: list[set[int]], old: int, new: int, third: int
) -> None:
    chunks = [
        each for run, seqs in zip(RUNS, held, strict=False) for each in cut(run, sorted(seqs), old)
    ]
    wanted = {(run, seq) for run, seqs in zip(RUNS, held, strict=False) for seq in seqs}
    gaps = Counter((c.run, gap.first_seq) for c in chunks for gap in c.gaps)
    for window_ms in (new, third):
        now = plan_rechunk(chunks, window_ms)
        chunks = [each for each in chunks if each not in now.replaced]
        chunks += [as_chunk(due) for due in now.made]
        seqs = Counter((c.run, each.seq) for c in chunks for each in c.fragments)
        assert seqs == Counter(wanted)
        assert len({(c.run, c.window_start_ms) for c in chunks}) == len(chunks), (
            "one name, one chunk"
        )
        assert Counter((c.run, gap.first_seq) for c in chunks for gap in c.gaps) == gaps
        again = plan_rechunk(chunks, window_ms)
        assert (again.made, again.replaced) == ((), ())


def test_borders_are_shared_by_all_lengths() -> None:
    assert border_ms([60_000, 30_000]) == 60_000
    assert border_ms([60_000, 45_000]) == 180_000
    with pytest.raises(ConfigError, match="share a border only every"):
        border_ms([3_600_000, 3_599_000])
    minute = 60_000
    assert aligned(90_000, 100_000, minute, 10 * minute) == (minute, 2 * minute)
    assert aligned(90_000, 3 * minute + 1, minute, 3 * minute + 5) == (minute, 3 * minute)


def test_what_comes_late_goes_where_the_replay_has_cut() -> None:
    """60 s is due, 20 s exists; 3 and 14 are late, the others are in chunks already."""
    now = plan_rechunk(cut(RUNS[0], [*range(3), *range(4, 14)], 60_000), 20_000)
    existing = [
        ExistingWindow(
            due.window_start_ms, due.window_ms, SeqRanges.of(f.seq for f in due.fragments)
        )
        for due in now.made
    ]
    (whole,) = plan_rechunk(cut(RUNS[0], list(range(15)), 20_000), 60_000).made
    late = in_existing_windows(whole, existing)
    assert [(due.window_start_ms - T0, due.window_ms) for due in late] == [
        (0, 20_000),
        (40_000, 20_000),
    ]
    assert [[each.seq for each in due.fragments] for due in late] == [[3], [14]]
    assert in_existing_windows(
        late[0], [each for each in existing if each.window_ms != 20_000]
    ) == [late[0]]
    all_there = whole.model_copy(update={"fragments": whole.fragments[4:14]})
    assert in_existing_windows(all_there, existing) == []
