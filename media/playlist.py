"""HLS media playlists (RFC 8216) over fragments, each a segment that starts at a keyframe.

A segment's length and date are the fragment's own. They stay when the fragment becomes a part of a
chunk; only its address changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

TOLERANCE_MS = 150
"""The time between adjoining fragments differs from the sum of lengths by less than this."""

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Segment:
    """One fragment in a playlist. Times: UTC ms."""

    run: str
    seq: int
    start_ms: int
    duration_ms: int
    uri: str
    byte_range: tuple[int, int] | None = None
    """(size, offset) in bytes of the object at `uri`. All segments of a list have one, or none.

    FFmpeg keeps a connection alive. After a byte range it requests the next segment without a range
    with the end of the last one, and waits forever.
    """
    missing: bool = False
    """Missing (so far): it keeps its number and is not fetched."""

    @property
    def end_ms(self) -> int:
        """UTC of the end, exclusive."""
        return self.start_ms + self.duration_ms


def follows(before: Segment, after: Segment) -> bool:
    """Return whether `after` begins where `before` ends: same run, next seq, no missing time."""
    return (
        before.run == after.run
        and before.seq + 1 == after.seq
        and after.start_ms - before.end_ms < TOLERANCE_MS
    )


def recorded(segments: Iterable[Segment], edges: Mapping[str, str] | None = None) -> str:
    """Return the playlist of recorded footage: by time, without the holes, with an end.

    Where two recorders recorded the same time, one of them is listed. `edges` names the device of
    each run, where it is known: one device whose clock was set back recorded both.
    """
    ordered = sorted(segments, key=lambda each: (each.start_ms, each.run, each.seq))
    listed = _without_overlap(ordered, edges or {})
    breaks = {
        number
        for number, (before, after) in enumerate(pairwise(listed), 1)
        if not follows(before, after)
    }
    return render(listed, breaks, ended=True)


def _without_overlap(ordered: Sequence[Segment], edges: Mapping[str, str]) -> list[Segment]:
    """Leave out segments of which at least half is in another recorder's segments before."""
    listed: list[Segment] = []
    for segment in ordered:
        before = listed[-1] if listed else segment
        if before.run != segment.run:
            edge = edges.get(segment.run)
            is_same_device = edge is not None and edge == edges.get(before.run)
            middle_ms = (segment.start_ms + segment.end_ms) // 2
            if middle_ms < before.end_ms and not is_same_device:
                continue
        listed.append(segment)
    return listed


def render(
    segments: Sequence[Segment],
    breaks: set[int],
    *,
    ended: bool,
    target: int | None = None,
    media_sequence: int = 0,
    discontinuity_sequence: int = 0,
) -> str:
    """Return a playlist's text; a discontinuity precedes the indexes in `breaks`.

    The target duration (seconds) is the longest segment's where none is given.
    """
    if target is None:
        target = target_s(max((each.duration_ms for each in segments), default=1_000))
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f"#EXT-X-TARGETDURATION:{target}",
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
    ]
    if discontinuity_sequence:
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}")
    if ended:
        lines.append("#EXT-X-PLAYLIST-TYPE:VOD")
    for number, segment in enumerate(segments):
        if number in breaks:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.missing:
            lines.append("#EXT-X-GAP")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.start_ms)}")
        lines.append(f"#EXTINF:{segment.duration_ms // 1_000}.{segment.duration_ms % 1_000:03d},")
        if segment.byte_range is not None:
            size, offset = segment.byte_range
            lines.append(f"#EXT-X-BYTERANGE:{size}@{offset}")
        lines.append(segment.uri)
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def target_s(duration_ms: int) -> int:
    """Return the least target duration (s) for a segment, as RFC 8216 4.3.3.1 compares it."""
    return max(1, (duration_ms + 500) // 1_000)


def date_time(ms: int) -> str:
    """Return UTC ms in RFC 3339 with milliseconds and Z."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds") + "Z"
