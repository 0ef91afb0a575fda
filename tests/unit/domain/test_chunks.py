"""What a chunk is made of.

current    0  1  .  .  4      gap 2..3
late                3         the revision holds 0 1 3 4, and lacks 2
"""

from hypothesis import given
from hypothesis import strategies as st

from domain.chunks import (
    digest_of,
    forms_of,
    gaps_due,
    late_due,
    merged_forms,
    merged_fragments,
    remaining_gaps,
    with_filled_gaps,
)
from domain.events import ChunkComplete, ChunkDue, Gap, ManifestFragment, VideoForm
from domain.identity import chunk_key
from tests.unit.domain.footage import CAMERA, FRAGMENT_MS, RUN, T0_MS, fragment, ref, run_id

FORM = VideoForm(video_codec="h264", width=768, height=576)


def gap(first: int, last: int, reason: str = "never arrived in the cloud") -> Gap:
    return Gap(
        from_ms=T0_MS + first * FRAGMENT_MS,
        to_ms=T0_MS + (last + 1) * FRAGMENT_MS,
        first_seq=first,
        last_seq=last,
        reason=reason,
    )


def due(*seqs: int, gaps: list[Gap] | None = None) -> ChunkDue:
    return ChunkDue(
        camera=CAMERA,
        run=RUN,
        window_start_ms=T0_MS,
        window_ms=60_000,
        reason="grace",
        form=FORM,
        fragments=[ref(seq) for seq in seqs],
        gaps=gaps or [],
    )


def placed(*seqs: int) -> list[ManifestFragment]:
    return [
        ManifestFragment(**ref(seq).model_dump(), offset=188 * at) for at, seq in enumerate(seqs)
    ]


def current(*seqs: int, gaps: list[Gap] | None = None) -> ChunkComplete:
    digest = digest_of(CAMERA, RUN, [ref(seq) for seq in seqs])
    return ChunkComplete(
        camera=CAMERA,
        run=RUN,
        window_start_ms=T0_MS,
        window_ms=60_000,
        revision=1,
        digest=digest,
        object_key=chunk_key(CAMERA, RUN, T0_MS, 60_000, digest),
        size_bytes=188,
        sha256="0" * 64,
        start_ms=T0_MS,
        end_ms=T0_MS + 60_000,
        reason="grace",
        **FORM.model_dump(),
        fragments=placed(*seqs),
        gaps=gaps or [],
        joined_ms=T0_MS,
    )


class TestDigest:
    def test_follows_from_ordered_ids_and_hashes_alone(self) -> None:
        plain = digest_of(CAMERA, RUN, [ref(1), ref(2)])
        other_times = [ref(1, start_ms=7, duration_ms=1), ref(2, start_pts=-5)]
        assert digest_of(CAMERA, RUN, other_times) == plain
        assert digest_of(CAMERA, RUN, placed(1, 2)) == plain

    def test_differs_with_anything_that_counts(self) -> None:
        digests = {
            digest_of(CAMERA, RUN, [ref(1), ref(2)]),
            digest_of(CAMERA, RUN, [ref(2), ref(1)]),
            digest_of(CAMERA, RUN, [ref(1)]),
            digest_of(CAMERA, RUN, [ref(1), ref(3)]),
            digest_of(CAMERA, RUN, [ref(1), ref(2, sha256="f" * 64)]),
            digest_of(CAMERA, run_id(1), [ref(1), ref(2)]),
            digest_of("acme/berlin/gate-2", RUN, [ref(1), ref(2)]),
        }
        assert len(digests) == 7

    def test_never_changes(self) -> None:
        """Keys in S3 carry it: it may not change from release to release."""
        assert digest_of("a/b/c", RUN, [ref(0)]) == "8014306b8d501e599837f74bb9a0f939"


class TestMerged:
    def test_first_making(self) -> None:
        assert [each.seq for each in merged_fragments(None, due(2, 0))] == [0, 2]

    def test_late_ones_join_the_current_ones(self) -> None:
        assert [each.seq for each in merged_fragments(current(0, 3), due(1))] == [0, 1, 3]

    def test_a_fragment_of_the_current_chunk_is_kept(self) -> None:
        other = due(0).model_copy(update={"fragments": [ref(0, sha256="f" * 64)]})
        assert merged_fragments(current(0), other)[0].sha256 == ref(0).sha256


class TestForms:
    def test_only_other_formats_are_named(self) -> None:
        usual = late_due([fragment(0), fragment(1)], T0_MS, 60_000)
        assert (usual.version, usual.form) == (1, FORM)
        changed = late_due([fragment(0), fragment(1, audio_codec="aac")], T0_MS, 60_000)
        assert (changed.version, changed.form.audio_codec) == (2, "aac")
        assert [each.form for each in changed.fragments] == [FORM, None]
        assert [each.audio_codec for each in forms_of(changed).values()] == [None, "aac"]

    def test_a_revision_keeps_the_formats_of_the_current_chunk(self) -> None:
        late = late_due([fragment(1, width=320), fragment(2, width=320)], T0_MS, 60_000)
        chunk = current(0, 2)
        widths = {seq: form.width for seq, form in merged_forms(chunk, late).items()}
        assert widths == {0: 768, 1: 320, 2: 768}
        assert all(each.form is None for each in merged_fragments(chunk, late))

    def test_gaps_are_checked_with_the_same_formats(self) -> None:
        chunk = current(0, 2)
        named = chunk.fragments[0].model_copy(update={"form": FORM.model_copy()})
        other = chunk.model_copy(
            update={"version": 2, "width": 320, "fragments": [named, chunk.fragments[1]]}
        )
        assert forms_of(gaps_due(other)) == forms_of(other)
        assert [each.width for each in forms_of(other).values()] == [768, 320]


class TestRemainingGaps:
    def test_all_stay_where_nothing_came(self) -> None:
        reported = [gap(1, 1), gap(3, 4)]
        assert remaining_gaps(None, due(0, 2, 5, gaps=reported), placed(0, 2, 5), []) == reported

    def test_one_that_was_filled_goes(self) -> None:
        assert remaining_gaps(current(0, 2, gaps=[gap(1, 1)]), due(1), placed(0, 1, 2), []) == []

    def test_one_that_was_filled_in_part_is_cut(self) -> None:
        old = current(0, 5, gaps=[gap(1, 4)])
        assert remaining_gaps(old, due(2), placed(0, 2, 5), []) == [gap(1, 1), gap(3, 4)]

    def test_one_left_out_is_reported_with_its_own_reason(self) -> None:
        corrupt = gap(2, 2, "its bytes do not match")
        old = current(0, 3, gaps=[gap(1, 2)])
        assert remaining_gaps(old, due(2), placed(0, 3), [corrupt]) == [
            gap(1, 1).model_copy(update={"to_ms": gap(1, 2).to_ms}),
            corrupt,
        ]

    @given(
        st.sets(st.integers(0, 20), min_size=1),
        st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), max_size=6),
        st.sets(st.integers(0, 20), max_size=3),
    )
    def test_each_missing_seq_is_reported_once(
        self, have: set[int], reported: list[tuple[int, int]], left: set[int]
    ) -> None:
        joined = sorted(have - left) or [30]
        gaps = [gap(first, first + more) for first, more in reported]
        left_out = [gap(seq, seq, "left out") for seq in sorted(left)]
        remaining = remaining_gaps(
            current(*joined, gaps=gaps[::2]),
            due(*have, gaps=gaps[1::2]),
            placed(*joined),
            left_out,
        )
        seqs = [seq for each in remaining for seq in range(each.first_seq, each.last_seq + 1)]
        expected = {s for g in [*gaps, *left_out] for s in range(g.first_seq, g.last_seq + 1)}
        assert seqs == sorted(expected - set(joined))
        assert all(each.from_ms <= each.to_ms for each in remaining)


def test_a_gap_that_other_chunks_fill_in_part_is_shortened() -> None:
    chunk = current(6, 7, gaps=[gap(2, 5)])
    changed = with_filled_gaps(chunk, placed(3))
    assert changed.revision == chunk.revision + 1
    assert [(each.first_seq, each.last_seq) for each in changed.gaps] == [(2, 2), (4, 5)]
    assert changed.gaps[1].from_ms == T0_MS + 4 * FRAGMENT_MS
    assert changed.model_copy(update={"revision": 1, "gaps": chunk.gaps}) == chunk
    assert with_filled_gaps(chunk, placed(8)) is chunk
    assert with_filled_gaps(changed, placed(2, 3, 4, 5)).gaps == []
