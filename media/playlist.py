"""HLS media playlists (RFC 8216) over fragments, each a segment.

A segment's length and date are the fragment's own. They stay when the fragment becomes a part of a
chunk; only its address changes.

EXT-X-INDEPENDENT-SEGMENTS (4.3.5.1) is in a recorded list if all its segments begin with a
keyframe. A live list never has it: a later segment may have no keyframe, and the tag must not
disappear.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE_MS = 150
"""The time between adjoining fragments differs from the sum of lengths by less than this."""

_EPOCH = datetime(1970, 1, 1)
_END = b"#EXT-X-ENDLIST\n"


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
    independent: bool = True
    """Whether it begins with a keyframe, so that it can be decoded without earlier segments."""
    form: str | None = None
    """Its tracks, their codecs and its size; None: unknown."""

    @property
    def end_ms(self) -> int:
        """UTC of the end, exclusive."""
        return self.start_ms + self.duration_ms


def follows(before: Segment, after: Segment) -> bool:
    """Return whether `after` needs no discontinuity (4.3.2.3).

    It begins where `before` ends: same run, next seq, no missing time. It has the same tracks,
    codecs and size.
    """
    return (
        before.run == after.run
        and before.seq + 1 == after.seq
        and before.form == after.form
        and after.start_ms - before.end_ms < TOLERANCE_MS
    )


class RecordedPlaylist:
    """A playlist of recorded footage: by time, without the holes, with an end.

    It is made in pieces: a day's list at once would keep other threads waiting. The pieces wait
    compressed, at a fifteenth of their size. The head says what holds for all of them. Where two
    recorders recorded the same time, one of them is listed.
    """

    def __init__(self) -> None:
        self._last: Segment | None = None
        self._target = 1
        self._independent = True
        self._pieces: list[bytes] = []
        self._piece_bytes = 0

    def add(self, segments: Iterable[Segment], edges: Mapping[str, str]) -> None:
        """Add the segments of a later time.

        `edges` names the device of each run, where it is known. One device whose clock was set back
        recorded both of two runs that overlap.
        """
        lines: list[str] = []
        for segment in sorted(segments, key=lambda each: (each.start_ms, each.run, each.seq)):
            before = self._last
            if before is not None and _is_recorded_twice(before, segment, edges):
                continue
            if before is not None and not follows(before, segment):
                lines.append("#EXT-X-DISCONTINUITY")
            lines += _segment_lines(segment)
            self._target = max(self._target, target_s(segment.duration_ms))
            self._independent = self._independent and segment.independent
            self._last = segment
        if lines:
            piece = "\n".join([*lines, ""]).encode()
            self._piece_bytes += len(piece)
            self._pieces.append(zlib.compress(piece, 1))

    @property
    def is_empty(self) -> bool:
        """Whether it has no segment."""
        return not self._pieces

    @property
    def size_bytes(self) -> int:
        """The length of the playlist in UTF-8."""
        return len(self._first_lines()) + self._piece_bytes + len(_END)

    def parts(self) -> Iterator[bytes]:
        """Yield the playlist in UTF-8, in pieces."""
        yield self._first_lines()
        for piece in self._pieces:
            yield zlib.decompress(piece)
        yield _END

    def encode(self) -> bytes:
        """Return the playlist in UTF-8."""
        return b"".join(self.parts())

    def _first_lines(self) -> bytes:
        lines = [*_head(self._target, 0), "#EXT-X-PLAYLIST-TYPE:VOD"]
        if self._independent:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        return "\n".join([*lines, ""]).encode()


def recorded(segments: Iterable[Segment], edges: Mapping[str, str] | None = None) -> str:
    """Return the playlist of recorded footage in one piece."""
    playlist = RecordedPlaylist()
    playlist.add(segments, edges or {})
    return playlist.encode().decode()


def _is_recorded_twice(before: Segment, segment: Segment, edges: Mapping[str, str]) -> bool:
    """Return whether at least half of a segment is in another recorder's segment before."""
    if before.run == segment.run:
        return False
    edge = edges.get(segment.run)
    is_same_device = edge is not None and edge == edges.get(before.run)
    middle_ms = (segment.start_ms + segment.end_ms) // 2
    return middle_ms < before.end_ms and not is_same_device


def render(
    segments: Sequence[Segment],
    breaks: set[int],
    *,
    target: int,
    media_sequence: int,
    discontinuity_sequence: int,
) -> str:
    """Return the text of a playlist without an end.

    A discontinuity precedes the indexes in `breaks`. `target` is the target duration in seconds.
    """
    lines = _head(target, media_sequence)
    if discontinuity_sequence:
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}")
    for number, segment in enumerate(segments):
        if number in breaks:
            lines.append("#EXT-X-DISCONTINUITY")
        lines += _segment_lines(segment)
    return "\n".join(lines) + "\n"


def _head(target: int, media_sequence: int) -> list[str]:
    return [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{target}",
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
    ]


def _segment_lines(segment: Segment) -> list[str]:
    lines = ["#EXT-X-GAP"] if segment.missing else []
    lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.start_ms)}")
    lines.append(f"#EXTINF:{segment.duration_ms // 1_000}.{segment.duration_ms % 1_000:03d},")
    if segment.byte_range is not None:
        size, offset = segment.byte_range
        lines.append(f"#EXT-X-BYTERANGE:{size}@{offset}")
    lines.append(segment.uri)
    return lines


def target_s(duration_ms: int) -> int:
    """Return the least target duration (s) for a segment, as RFC 8216 4.3.3.1 compares it."""
    return max(1, (duration_ms + 500) // 1_000)


def date_time(ms: int) -> str:
    """Return UTC ms in RFC 3339 with milliseconds and Z."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds") + "Z"
