"""What RFC 8216 demands of media playlists, as far as two texts show it."""

import re
from dataclasses import dataclass, field

ONCE = ("TARGETDURATION", "MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE", "PLAYLIST-TYPE", "ENDLIST")


@dataclass
class ListedSegment:
    """One segment of a list."""

    uri: str
    number: int
    """Media sequence number."""
    discontinuity: int
    """Discontinuity sequence number."""
    seconds: float
    is_gap: bool


@dataclass
class MediaPlaylist:
    """A list, and the rules that it breaks by itself."""

    target: int
    segments: list[ListedSegment] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def discontinuities(self) -> list[int]:
        """The discontinuity sequence number of each segment."""
        return [each.discontinuity for each in self.segments]


def read_playlist(text: str) -> MediaPlaylist:
    """Parse a media playlist."""
    lines = text.splitlines()
    first = _number(text, "MEDIA-SEQUENCE")
    discontinuity = _number(text, "DISCONTINUITY-SEQUENCE")
    found = MediaPlaylist(_number(text, "TARGETDURATION"))
    if lines[0] != "#EXTM3U":
        found.faults.append("4.3.1.1: the first line is not #EXTM3U")
    for tag in ONCE:
        if len(re.findall(rf"^#EXT-X-{tag}\b", text, re.MULTILINE)) > 1:
            found.faults.append(f"4.3.3: {tag} twice")
    seconds: float | None = None
    is_gap = False
    for line in lines:
        if line == "#EXT-X-DISCONTINUITY":
            discontinuity += 1
        elif line == "#EXT-X-GAP":
            is_gap = True
        elif line.startswith("#EXTINF:"):
            seconds = float(line.removeprefix("#EXTINF:").split(",")[0])
        elif line and not line.startswith("#"):
            if seconds is None:
                found.faults.append(f"4.3.2.1: {line} without EXTINF")
            elif int(seconds + 0.5) > found.target:
                found.faults.append(f"4.3.3.1: {line} is longer than the target duration")
            number = first + len(found.segments)
            found.segments.append(
                ListedSegment(line, number, discontinuity, seconds or 0.0, is_gap)
            )
            seconds, is_gap = None, False
    return found


def _number(text: str, tag: str) -> int:
    found = re.search(rf"^#EXT-X-{tag}:(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def broken_by_change(before: MediaPlaylist, after: MediaPlaylist) -> list[str]:
    """Return the rules of 6.2.1 and 6.2.2 that a live list broke between two answers."""
    faults = []
    if before.target != after.target:
        faults.append(f"6.2.1: the target duration was {before.target}, is {after.target}")
    if before.segments and after.segments and after.segments[0].number < before.segments[0].number:
        faults.append("6.2.2: the media sequence number fell")
    known = {each.uri: each for each in before.segments}
    for segment in after.segments:
        if (same := known.get(segment.uri)) is None:
            continue
        if same.number != segment.number:
            faults.append(f"6.2.2: {segment.uri} was number {same.number}, is {segment.number}")
        if same.discontinuity != segment.discontinuity:
            faults.append(f"6.2.2: {segment.uri} changed its discontinuity number")
    return faults
