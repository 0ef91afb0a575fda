"""What a chunk is made of: its digest, its fragments, its gaps."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from domain.events import (
    ChunkComplete,
    ChunkDue,
    FragmentArrived,
    FragmentRef,
    Gap,
    ManifestFragment,
    VideoForm,
)
from domain.seqs import SeqRanges

Ref = TypeVar("Ref", bound=FragmentRef)
MAX_CLOCK_SPREAD_MS = 10_000
"""By this much a run's UTC may be corrected against its presentation time within one window."""


def digest_of(camera: str, run: str, fragments: Sequence[FragmentRef]) -> str:
    """Return 32 hex digits that depend only on the ordered fragment ids and hashes."""
    state = hashlib.sha256(f"{camera}/{run}\n".encode())
    for fragment in fragments:
        state.update(f"{fragment.seq} {fragment.sha256}\n".encode())
    return state.hexdigest()[:32]


def doubtful_times(fragments: Sequence[FragmentRef]) -> list[FragmentRef]:
    """Return the fragments of a run whose UTC may be wrong: a notice may lie about it.

    In a run, UTC and presentation time advance together: one fragment is compared with the others.
    One that is alone has no others.
    """
    if len(fragments) == 1:
        return list(fragments)
    offsets_ms = sorted(each.start_ms - each.start_pts // 90 for each in fragments)
    middle_ms = offsets_ms[len(offsets_ms) // 2]
    return [
        each
        for each in fragments
        if abs(each.start_ms - each.start_pts // 90 - middle_ms) > MAX_CLOCK_SPREAD_MS
    ]


def form_of(chunk: ChunkComplete) -> VideoForm:
    """Return the format that a chunk's event names: that of its last fragment."""
    return VideoForm(
        video_codec=chunk.video_codec,
        audio_codec=chunk.audio_codec,
        width=chunk.width,
        height=chunk.height,
    )


def forms_of(event: ChunkDue | ChunkComplete) -> dict[int, VideoForm]:
    """Return the format of each fragment by seq."""
    usual = event.form if isinstance(event, ChunkDue) else form_of(event)
    return {each.seq: each.form or usual for each in event.fragments}


def with_forms(
    fragments: Sequence[Ref], forms: Mapping[int, VideoForm]
) -> tuple[int, VideoForm, list[Ref]]:
    """Return the version and the format of a chunk's event, and its fragments.

    The format is the last fragment's. Those of another name it, which needs version 2.
    """
    usual = forms[fragments[-1].seq]
    named = [
        each
        if each.form is None and forms[each.seq] == usual
        else each.model_copy(update={"form": forms[each.seq] if forms[each.seq] != usual else None})
        for each in fragments
    ]
    return 2 if any(each.form is not None for each in named) else 1, usual, named


def late_due(events: Sequence[FragmentArrived], start_ms: int, window_ms: int) -> ChunkDue:
    """Return the `chunk-due` of fragments of one window that was sealed before, ascending by seq.

    Where the window's chunk has them already, the joiner changes nothing.
    """
    first = events[0]
    forms = {event.seq: VideoForm.of(event) for event in events}
    version, form, fragments = with_forms([FragmentRef.of(event) for event in events], forms)
    return ChunkDue(
        version=version,
        camera=first.camera,
        run=first.run,
        window_start_ms=start_ms,
        window_ms=window_ms,
        reason="late",
        form=form,
        fragments=fragments,
    )


def gaps_due(chunk: ChunkComplete) -> ChunkDue:
    """Return the `chunk-due` that makes the joiner check the gaps of a chunk again."""
    return ChunkDue(
        version=chunk.version,
        camera=chunk.camera,
        run=chunk.run,
        window_start_ms=chunk.window_start_ms,
        window_ms=chunk.window_ms,
        reason="late",
        form=form_of(chunk),
        fragments=[
            FragmentRef.model_validate(each.model_dump(include=set(FragmentRef.model_fields)))
            for each in chunk.fragments
        ],
    )


def merged_fragments(current: ChunkComplete | None, due: ChunkDue) -> list[FragmentRef]:
    """Return the fragments of the next revision, in order: those of `current` and those due.

    If both have the same seq, the fragment of the current chunk is kept. They name no format: see
    `merged_forms`.
    """
    by_seq: dict[int, FragmentRef] = {fragment.seq: fragment for fragment in due.fragments}
    if current is not None:
        by_seq |= {fragment.seq: fragment for fragment in current.fragments}
    found = [by_seq[seq] for seq in sorted(by_seq)]
    return [each.model_copy(update={"form": None}) if each.form else each for each in found]


def merged_forms(current: ChunkComplete | None, due: ChunkDue) -> dict[int, VideoForm]:
    """Return the formats of the fragments that `merged_fragments` returns, by seq."""
    return forms_of(due) | ({} if current is None else forms_of(current))


def remaining_gaps(
    current: ChunkComplete | None,
    due: ChunkDue,
    joined: Sequence[ManifestFragment],
    left_out: Iterable[Gap],
) -> list[Gap]:
    """Return the gaps of the next revision, which holds the fragments `joined`, in order.

    Each missing seq is reported once, by the newest report. A gap that a late fragment fills in
    part is shortened to the time that is still missing.
    """
    reports = [*left_out, *due.gaps, *(current.gaps if current is not None else [])]
    return _unfilled(reports, joined)


def with_filled_gaps(
    chunk: ChunkComplete, elsewhere: Sequence[FragmentRef | FragmentArrived]
) -> ChunkComplete:
    """Return the chunk's next revision, without the gaps that fragments `elsewhere` fill.

    Other chunks of the run hold them: they were late, and belong to other windows. Returns
    `chunk` itself where they fill nothing. The bytes, and so the digest, stay the same.
    """
    if not filled_seqs(chunk, SeqRanges.of(each.seq for each in elsewhere)):
        return chunk
    gaps = _unfilled(chunk.gaps, [*chunk.fragments, *elsewhere])
    return chunk.model_copy(update={"revision": chunk.revision + 1, "gaps": gaps})


def filled_seqs(chunk: ChunkComplete, present: SeqRanges) -> SeqRanges:
    """Return the seqs of `present` that the chunk reports as missing."""
    return SeqRanges(
        part for gap in chunk.gaps for part in present.within(gap.first_seq, gap.last_seq).ranges
    )


def _unfilled(reports: Iterable[Gap], joined: Iterable[FragmentRef | FragmentArrived]) -> list[Gap]:
    by_seq = {fragment.seq: fragment for fragment in joined}
    reported = SeqRanges.of(by_seq)
    gaps: list[Gap] = []
    for gap in reports:
        for first, last in reported.missing(gap.first_seq, gap.last_seq):
            before, after = by_seq.get(first - 1), by_seq.get(last + 1)
            from_ms, to_ms = gap.from_ms, gap.to_ms
            if before is not None and first > gap.first_seq:
                from_ms = before.start_ms + before.duration_ms
            if after is not None and last < gap.last_seq:
                to_ms = after.start_ms
            gaps.append(
                Gap(
                    from_ms=from_ms,
                    to_ms=max(from_ms, to_ms),
                    first_seq=first,
                    last_seq=last,
                    reason=gap.reason,
                )
            )
        reported |= SeqRanges([(gap.first_seq, gap.last_seq)])
    return sorted(gaps, key=lambda gap: gap.first_seq)
