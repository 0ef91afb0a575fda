"""The rules of the consistency check, by plain calls."""

import hashlib
from typing import get_args

import pytest

from domain.chunks import digest_of
from domain.consistency import (
    KINDS,
    Announce,
    AskJoiner,
    ChunkRow,
    Delete,
    Derived,
    DropFragmentRow,
    FragmentRow,
    Kind,
    ManifestSeen,
    Patience,
    RowId,
    RunView,
    Standing,
    WindowView,
    explained,
    judge_fragment,
    judge_window,
    manifest_fault,
    redundant,
)
from domain.events import ChunkComplete, Gap, ManifestFragment
from domain.gaps import NEVER_ARRIVED
from domain.identity import chunk_key, manifest_key, parse_chunk_key
from domain.seqs import SeqRanges
from tests.unit.domain.footage import CAMERA, RUN, T0_MS, run_id

HOUR_MS = 3_600_000
PATIENCE = Patience(now_ms=T0_MS + 24 * HOUR_MS, settle_ms=300_000)
YOUNG_MS = PATIENCE.now_ms - 1_000
OLD_MS = PATIENCE.now_ms - HOUR_MS
NONE = Derived((), (), (), True)


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
    """All of these stand, object and manifest; the row is that of `row`."""
    return WindowView(
        CAMERA,
        RUN,
        T0_MS,
        {each.object_key: (each.size_bytes, written_ms) for each in chunks},
        {manifest_key(each.object_key): ManifestSeen(written_ms, each, NONE) for each in chunks},
        row and row_of(row),
    )


def row_of(made: ChunkComplete) -> ChunkRow:
    identity = RowId(made.window_start_ms, made.run, made.revision, made.digest)
    return ChunkRow(identity, made.object_key, made, NONE, OLD_MS)


def kinds(seen: WindowView, **buried: int) -> list[str]:
    verdict = judge_window(seen, lambda digest: buried.get(f"d{digest}"), PATIENCE)
    return [finding.kind for finding in verdict.findings]


class TestWindows:
    first, second = chunk(range(3)), chunk(range(4), revision=2)

    def test_all_agrees(self) -> None:
        seen = view(self.first, self.second, row=self.second)
        verdict = judge_window(seen, lambda _: None, PATIENCE)
        assert (verdict.findings, verdict.current, verdict.in_work) == ((), (self.second,), 0)

    @pytest.mark.parametrize(
        ("seen", "why"),
        [
            (view(first, written_ms=YOUNG_MS), "its row comes"),
            (view(first, second, row=first, written_ms=YOUNG_MS), "its new row comes"),
            (
                WindowView(CAMERA, RUN, T0_MS, {first.object_key: (564, YOUNG_MS)}),
                "its manifest comes",
            ),
        ],
    )
    def test_young_things_are_in_work(self, seen: WindowView, why: str) -> None:
        verdict = judge_window(seen, lambda _: None, PATIENCE)
        assert (verdict.findings, verdict.in_work) == ((), 1), why

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
        buried = {f"d{self.second.digest}": OLD_MS}
        assert kinds(seen, **buried) == ["tombstoned-stands"] * 2  # manifest and object
        assert kinds(seen, **{f"d{self.second.digest}": YOUNG_MS}) == []

    def test_what_was_written_a_day_ago_and_nobody_knows_may_go(self) -> None:
        for written_ms, goes in ((OLD_MS, False), (PATIENCE.now_ms - 25 * HOUR_MS, True)):
            seen = WindowView(CAMERA, RUN, T0_MS, {self.first.object_key: (564, written_ms)})
            (finding,) = judge_window(seen, lambda _: None, PATIENCE).findings
            assert isinstance(finding.mend, Delete) is goes

    def test_a_manifest_must_agree_with_its_name_and_itself(self) -> None:
        key = manifest_key(self.first.object_key)
        assert manifest_fault(key, self.first) is None
        moved = self.first.fragments[1].model_copy(update={"offset": 189})
        wrong = {
            "another chunk": self.second,
            "digest": self.first.model_copy(update={"fragments": self.first.fragments[:2]}),
            "begin": self.first.model_copy(
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
        ("run", "modified_ms", "row_ms", "kind", "in_work", "why"),
        [
            ("joined", OLD_MS, None, None, False, "its chunk holds it"),
            ("left_out", OLD_MS, None, None, False, "its bytes are unusable"),
            ("", OLD_MS, None, "fragment-unjoined", False, "nobody announced it"),
            ("", YOUNG_MS, None, None, True, "its notice comes"),
            ("", OLD_MS, OLD_MS, "fragment-stuck", False, "announced, and no chunk came"),
            ("", OLD_MS, YOUNG_MS, None, True, "announced just now"),
            ("settled", OLD_MS, None, "fragment-unjoined", False, "told missing, and stands"),
            ("joined settled", OLD_MS, OLD_MS, "fragment-row-covered", False, "twice playable"),
            ("", None, OLD_MS, "fragment-row-without-object", False, "playable, and gone"),
            ("buried", OLD_MS, None, "tombstoned-stands", False, "its object came back"),
            ("buried", None, OLD_MS, "tombstoned-stands", False, "its row came back"),
            ("dying", OLD_MS, OLD_MS, None, True, "it is being deleted"),
        ],
    )
    def test_cases(
        self,
        run: str,
        modified_ms: int | None,
        row_ms: int | None,
        kind: str | None,
        in_work: bool,
        why: str,
    ) -> None:
        seen = RunView(CAMERA, RUN, **{name: SeqRanges.of([7]) for name in run.split()})
        row = None if row_ms is None else FragmentRow(7, T0_MS, row_ms)
        findings, working = judge_fragment(seen, 7, modified_ms, row, PATIENCE)
        assert [each.kind for each in findings] == ([kind] if kind else []), why
        assert working is in_work, why
        mends = {
            "fragment-unjoined": Announce(RUN, 7),
            "fragment-stuck": AskJoiner(RUN, 7),
            "fragment-row-covered": DropFragmentRow(RUN, 7, covered=True),
            "fragment-row-without-object": None,
        }
        if kind in mends:
            assert findings[0].mend == mends[kind]

    def test_only_gaps_that_an_object_does_not_fill_explain_it(self) -> None:
        reasons = {5: NEVER_ARRIVED, 9: "its bytes are not those told: hash"}
        gaps = [
            Gap(from_ms=0, to_ms=0, first_seq=seq, last_seq=seq, reason=reason)
            for seq, reason in reasons.items()
        ]
        assert explained(chunk(range(3), gaps=gaps)) == SeqRanges.of([9])


class TestDoubles:
    def test_the_one_made_first_goes_where_the_others_hold_all_of_it(self) -> None:
        old = Standing.of(chunk(range(10), window_ms=120_000, joined_ms=1))
        halves = [Standing.of(chunk(range(at, at + 5), joined_ms=2)) for at in (0, 5)]
        ((gone, shared, can_go),) = redundant([*halves, old])
        assert (gone, can_go) == (old, True)
        assert shared == SeqRanges([(0, 9)])

    def test_of_equals_one_stays(self) -> None:
        twins = [
            Standing.of(chunk(range(5), window_ms=length, joined_ms=length))
            for length in (60_000, 120_000)
        ]
        assert [(each.joined_ms, can_go) for each, _, can_go in redundant(twins)] == [
            (60_000, True)
        ]

    def test_one_that_holds_more_stays_and_is_told(self) -> None:
        left, right = (
            Standing.of(chunk(seqs, joined_ms=at)) for at, seqs in ((1, range(6)), (2, range(4, 9)))
        )
        assert [(each, can_go) for each, _, can_go in redundant([left, right])] == [(right, False)]

    def test_runs_share_nothing(self) -> None:
        assert (
            redundant([Standing.of(chunk(range(3))), Standing.of(chunk(range(3), run=run_id(9)))])
            == []
        )


def test_every_kind_is_described() -> None:
    assert set(KINDS) == set(get_args(Kind))
