"""The rules of the consistency check, by plain calls."""

import hashlib
from typing import get_args

import pytest

from domain.chunks import digest_of
from domain.consistency import (
    KINDS,
    Announce,
    AskJoiner,
    CurrentChunk,
    Delete,
    DerivedColumns,
    DropFragmentRow,
    GracePeriods,
    IndexedChunk,
    IndexedFragment,
    Kind,
    RowId,
    RunView,
    StoredManifest,
    WindowView,
    check_fragment,
    check_window,
    duplicates,
    manifest_fault,
    unusable_seqs,
)
from domain.events import ChunkComplete, Gap, ManifestFragment
from domain.gaps import NEVER_ARRIVED
from domain.identity import chunk_key, manifest_key, parse_chunk_key
from domain.seqs import SeqRanges
from tests.unit.domain.footage import CAMERA, RUN, T0_MS, run_id

HOUR_MS = 3_600_000
GRACE = GracePeriods(now_ms=T0_MS + 24 * HOUR_MS, settle_ms=300_000)
RECENT_MS = GRACE.now_ms - 1_000
OLD_MS = GRACE.now_ms - HOUR_MS
NONE = DerivedColumns((), (), (), True)


def chunk(
    seqs: range,
    *,
    revision: int = 1,
    window_ms: int = 60_000,
    joined_ms: int = OLD_MS,
    run: str = RUN,
    gaps: list[Gap] | None = None,
) -> ChunkComplete:
    held, offset = [], 0
    for seq in seqs:
        held.append(
            ManifestFragment(
                seq=seq,
                start_ms=T0_MS + seq * 4_000,
                duration_ms=4_000,
                start_pts=0,
                size_bytes=188,
                sha256=f"{seq:064x}",
                offset=offset,
            )
        )
        offset += 188
    digest = digest_of(CAMERA, run, held)
    window = held[0].start_ms - held[0].start_ms % window_ms
    return ChunkComplete(
        camera=CAMERA,
        run=run,
        window_start_ms=window,
        window_ms=window_ms,
        revision=revision,
        digest=digest,
        object_key=chunk_key(CAMERA, run, window, window_ms, digest),
        size_bytes=offset,
        sha256=hashlib.sha256().hexdigest(),
        start_ms=held[0].start_ms,
        end_ms=held[-1].start_ms + 4_000,
        reason="complete",
        video_codec="h264",
        width=96,
        height=64,
        fragments=held,
        gaps=gaps or [],
        joined_ms=joined_ms,
    )


def view(
    *chunks: ChunkComplete, row: ChunkComplete | None = None, written_ms: int = OLD_MS
) -> WindowView:
    """Return a window with the objects and manifests of these chunks, and the row of `row`."""
    return WindowView(
        CAMERA,
        RUN,
        T0_MS,
        {each.object_key: (each.size_bytes, written_ms) for each in chunks},
        {manifest_key(each.object_key): StoredManifest(written_ms, each, NONE) for each in chunks},
        row and row_of(row),
    )


def row_of(made: ChunkComplete) -> IndexedChunk:
    identity = RowId(made.window_start_ms, made.run, made.revision, made.digest)
    return IndexedChunk(identity, made.object_key, made, NONE, OLD_MS)


def kinds(seen: WindowView, **deleted: int) -> list[str]:
    report = check_window(seen, lambda digest: deleted.get(f"d{digest}"), GRACE)
    return [finding.kind for finding in report.findings]


class TestWindows:
    first, second = chunk(range(3)), chunk(range(4), revision=2)

    def test_all_agrees(self) -> None:
        seen = view(self.first, self.second, row=self.second)
        report = check_window(seen, lambda _: None, GRACE)
        assert (report.findings, report.current, report.pending) == ((), (self.second,), 0)

    @pytest.mark.parametrize(
        ("seen", "why"),
        [
            (view(first, written_ms=RECENT_MS), "its row is on its way"),
            (view(first, second, row=first, written_ms=RECENT_MS), "its new row is on its way"),
            (
                WindowView(CAMERA, RUN, T0_MS, {first.object_key: (564, RECENT_MS)}),
                "its manifest is on its way",
            ),
        ],
    )
    def test_new_things_are_in_progress(self, seen: WindowView, why: str) -> None:
        report = check_window(seen, lambda _: None, GRACE)
        assert (report.findings, report.pending) == ((), 1), why

    @pytest.mark.parametrize(
        ("seen", "kind"),
        [
            (view(first), "row-missing"),
            (view(first, second, row=first), "row-stale"),
            (view(row=first), "row-without-object"),
            (view(first, row=second), "row-without-object"),
            (view(first, row=first.model_copy(update={"width": 98})), "row-differs"),
            (WindowView(CAMERA, RUN, T0_MS, {first.object_key: (564, OLD_MS)}),
             "object-without-manifest"),
        ],
    )  # fmt: skip
    def test_old_things_are_wrong(self, seen: WindowView, kind: str) -> None:
        assert kinds(seen) == [kind]

    def test_a_tombstone_takes_a_revision_out(self) -> None:
        seen = view(self.first, self.second, row=self.first)
        deleted = {f"d{self.second.digest}": OLD_MS}
        assert kinds(seen, **deleted) == ["tombstoned-stands"] * 2  # manifest and object
        assert kinds(seen, **{f"d{self.second.digest}": RECENT_MS}) == []

    def test_an_object_that_nothing_refers_to_is_deleted_after_a_day(self) -> None:
        for written_ms, goes in ((OLD_MS, False), (GRACE.now_ms - 25 * HOUR_MS, True)):
            seen = WindowView(CAMERA, RUN, T0_MS, {self.first.object_key: (564, written_ms)})
            (finding,) = check_window(seen, lambda _: None, GRACE).findings
            assert isinstance(finding.repair, Delete) is goes

    def test_a_manifest_must_match_its_key_and_itself(self) -> None:
        key = manifest_key(self.first.object_key)
        assert manifest_fault(key, self.first) is None
        moved = self.first.fragments[1].model_copy(update={"offset": 189})
        wrong = {
            "another chunk": self.second,
            "digest": self.first.model_copy(update={"fragments": self.first.fragments[:2]}),
            "start": self.first.model_copy(
                update={"fragments": [self.first.fragments[0], moved, self.first.fragments[2]]}
            ),
            "bytes": self.first.model_copy(update={"size_bytes": 565}),
        }
        for word, manifest in wrong.items():
            assert word in (manifest_fault(key, manifest) or "")

    def test_names_read_back(self) -> None:
        for key, manifest in (
            (self.first.object_key, False),
            (manifest_key(self.first.object_key), True),
        ):
            name = parse_chunk_key(key)
            assert name is not None
            assert (name.window_start_ms, name.window_ms) == (T0_MS, 60_000)
            assert (name.run, name.digest, name.manifest) == (RUN, self.first.digest, manifest)
        assert parse_chunk_key(self.first.object_key.replace("/20", "/30/")) is None


class TestFragments:
    @pytest.mark.parametrize(
        ("run", "modified_ms", "row_ms", "kind", "pending", "why"),
        [
            ("joined", OLD_MS, None, None, False, "its chunk holds it"),
            ("left_out", OLD_MS, None, None, False, "its bytes are unusable"),
            ("", OLD_MS, None, "fragment-unjoined", False, "it was never announced"),
            ("", RECENT_MS, None, None, True, "its notice is on its way"),
            ("", OLD_MS, OLD_MS, "fragment-stuck", False, "announced, but never joined"),
            ("", OLD_MS, RECENT_MS, None, True, "announced just now"),
            ("settled", OLD_MS, None, "fragment-unjoined", False, "reported missing, but exists"),
            ("joined settled", OLD_MS, OLD_MS, "fragment-row-covered", False, "twice playable"),
            ("", None, OLD_MS, "fragment-row-without-object", False, "playable, but gone"),
            ("tombstoned", OLD_MS, None, "tombstoned-stands", False, "its object came back"),
            ("tombstoned", None, OLD_MS, "tombstoned-stands", False, "its row came back"),
            ("just_tombstoned", OLD_MS, OLD_MS, None, True, "it is being deleted"),
        ],
    )
    def test_cases(
        self,
        run: str,
        modified_ms: int | None,
        row_ms: int | None,
        kind: str | None,
        pending: bool,
        why: str,
    ) -> None:
        seen = RunView(CAMERA, RUN, **{name: SeqRanges.of([7]) for name in run.split()})
        row = None if row_ms is None else IndexedFragment(7, T0_MS, row_ms)
        findings, working = check_fragment(seen, 7, modified_ms, row, GRACE)
        assert [each.kind for each in findings] == ([kind] if kind else []), why
        assert working is pending, why
        repairs = {
            "fragment-unjoined": Announce(RUN, 7),
            "fragment-stuck": AskJoiner(RUN, 7),
            "fragment-row-covered": DropFragmentRow(RUN, 7, covered=True),
            "fragment-row-without-object": None,
        }
        if kind in repairs:
            assert findings[0].repair == repairs[kind]

    def test_only_gaps_that_an_object_does_not_fill_explain_it(self) -> None:
        reasons = {5: NEVER_ARRIVED, 9: "its bytes do not match: hash"}
        gaps = [
            Gap(from_ms=0, to_ms=0, first_seq=seq, last_seq=seq, reason=reason)
            for seq, reason in reasons.items()
        ]
        assert unusable_seqs(chunk(range(3), gaps=gaps)) == SeqRanges.of([9])


class TestDuplicates:
    def test_the_one_made_first_is_deleted_if_the_others_hold_all_of_it(self) -> None:
        old = CurrentChunk.of(chunk(range(10), window_ms=120_000, joined_ms=1))
        halves = [CurrentChunk.of(chunk(range(at, at + 5), joined_ms=2)) for at in (0, 5)]
        ((duplicate, shared, deletable),) = duplicates([*halves, old])
        assert (duplicate, deletable) == (old, True)
        assert shared == SeqRanges([(0, 9)])

    def test_of_equals_one_stays(self) -> None:
        twins = [
            CurrentChunk.of(chunk(range(5), window_ms=length, joined_ms=length))
            for length in (60_000, 120_000)
        ]
        assert [(each.joined_ms, deletable) for each, _, deletable in duplicates(twins)] == [
            (60_000, True)
        ]

    def test_one_that_holds_more_stays_and_is_reported(self) -> None:
        left, right = (
            CurrentChunk.of(chunk(seqs, joined_ms=at))
            for at, seqs in ((1, range(6)), (2, range(4, 9)))
        )
        assert [(each, deletable) for each, _, deletable in duplicates([left, right])] == [
            (right, False)
        ]

    def test_runs_share_nothing(self) -> None:
        assert (
            duplicates(
                [CurrentChunk.of(chunk(range(3))), CurrentChunk.of(chunk(range(3), run=run_id(9)))]
            )
            == []
        )


def test_every_kind_is_described() -> None:
    assert set(KINDS) == set(get_args(Kind))
