"""The live sections of cameras (domain/live_sections.py), kept as fragments arrive."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from domain.events import FragmentArrived
from domain.live_sections import (
    TOLERANCE_MS,
    LiveFragment,
    LiveSection,
    began_before,
    begin_earlier,
    changes_form,
    close,
    extend,
    first_section,
    next_section,
    takes_over,
)
from stores.catalog.pool import Catalog, Connection, Row, sql

KEPT_MS = 26 * 3_600_000
"""Sections are kept so long after their last fragment: a growing range is 25 hours at most."""
RUN_START_SEQS = 3
"""A run that is first seen at one of these seqs begins with 0: that is still in flight."""


async def live_sections_of(catalog: Catalog, camera: str) -> list[LiveSection]:
    """Return a camera's live sections by number."""
    return [_section(row) for row in await catalog.rows("live_sections_of", camera)]


async def update_live_sections(
    connection: Connection, events: Sequence[FragmentArrived], now_ms: int
) -> None:
    """Give numbers to fragments that arrived. The caller holds the cameras' footage lock."""
    cameras = sorted({event.camera for event in events})
    rows = await connection.fetch(sql("live_sections_now"), cameras)
    sections = {row["camera"]: _section(row) for row in rows}
    last_seqs = {(row["camera"], str(row["run"])): row["run_last_seq"] for row in rows}
    changed: dict[tuple[str, int], LiveSection] = {}
    for event in events:
        fragment = LiveFragment(
            event.run, event.seq, event.start_ms, event.end_ms, _form_text(event)
        )
        before = sections.get(event.camera)
        if before is None:
            after = first_section(fragment, now_ms)
        elif changes_form(before, fragment):
            closed = close(before, fragment.seq - 1)
            changed[event.camera, closed.number] = closed
            after = next_section(closed, fragment, fragment.seq, now_ms)
        elif began_before(before, fragment, now_ms):
            await _store(connection, changed)
            changed = {}
            after = await _begin_earlier(connection, event.camera, before, fragment)
        else:
            last_seq = last_seqs.get((event.camera, before.run))
            after = extend(before, fragment, now_ms)
            if takes_over(before, last_seq, fragment, now_ms):
                first_seq = await _first_seq(connection, event.camera, before, fragment, now_ms)
                was_live = first_seq.after is not None
                if first_seq.seq <= fragment.seq and takes_over(
                    before, last_seq, fragment, now_ms, was_live=was_live
                ):
                    closed = close(before, last_seq)
                    changed[event.camera, closed.number] = closed
                    after = next_section(closed, fragment, first_seq.seq, now_ms)
        if after is not before:
            sections[event.camera] = after
            changed[event.camera, after.number] = after
    await _store(connection, changed)


async def _store(connection: Connection, changed: Mapping[tuple[str, int], LiveSection]) -> None:
    if changed:
        given = [
            {"camera": camera, **asdict(section)}
            for (camera, _), section in sorted(changed.items())
        ]
        await connection.execute(sql("store_live_sections"), given)


async def _begin_earlier(
    connection: Connection, camera: str, section: LiveSection, fragment: LiveFragment
) -> LiveSection:
    """Move the section's start to the fragment, if the section before it holds that one."""
    moved = begin_earlier(section, fragment)
    row = await connection.fetchrow(
        sql("move_live_section"),
        camera,
        UUID(section.run),
        section.number,
        moved.number,
        moved.first_seq,
        moved.start_ms,
    )
    return section if row is None else moved


def _form_text(event: FragmentArrived) -> str:
    """Return the fragment's tracks, codecs and size as `playback_segments` writes them."""
    return f"{event.video_codec} {event.audio_codec or '-'} {event.width} {event.height}"


@dataclass(frozen=True, slots=True)
class _FirstSeq:
    seq: int
    """Where a section of the run may begin."""
    after: int | None
    """The run's last seq with a number; None: it was never live."""


async def _first_seq(
    connection: Connection, camera: str, live: LiveSection, fragment: LiveFragment, now_ms: int
) -> _FirstSeq:
    since_ms = min(live.newest_end_ms - TOLERANCE_MS, fragment.start_ms)
    row = await connection.fetchrow(
        sql("live_first_seq"), camera, UUID(fragment.run), since_ms, now_ms - KEPT_MS
    )
    assert row is not None
    known = fragment.seq if row["first_seq"] is None else row["first_seq"]
    first = min(known, fragment.seq)
    if row["after"] is not None:
        return _FirstSeq(max(first, row["after"] + 1), row["after"])
    return _FirstSeq(0 if first <= RUN_START_SEQS else first, None)


def _section(row: Row) -> LiveSection:
    return LiveSection(
        run=str(row["run"]),
        number=row["number"],
        discontinuities=row["discontinuities"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        start_ms=row["start_ms"],
        newest_end_ms=row["newest_end_ms"],
        arrived_ms=row["arrived_ms"],
        longest_ms=row["longest_ms"],
        overlap_ms=row["overlap_ms"],
        form=row["form"],
    )
