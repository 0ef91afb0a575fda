"""Timeline, chunks, playlists, thumbnails."""

from typing import Annotated

from pydantic import Field

from domain.events.chunks import DueReason
from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.common import Bytes, GapItem, Ms, RunText, UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Flag, ModelQuery, RangeQuery, Time, whole_number


class TimelineQuery(RangeQuery, ModelQuery):
    """A range of at most 31 days."""

    buckets: Annotated[int, *whole_number(1, 2_000)] = Field(
        600, description="About how many buckets cover the range."
    )


class DetectionCount(ApiAnswer):
    """The most objects of a label in one frame of a bucket."""

    at_ms: UtcMs = Field(description="Start of the bucket, a multiple of `bucket_ms`.")
    label: str = Field(description="What was detected.")
    count: int = Field(ge=0, description="The most objects in one frame.")


class Timeline(ApiAnswer):
    """Recorded time, gaps, and counts of detections."""

    from_ms: UtcMs = Field(description="Start of the range.")
    to_ms: UtcMs = Field(description="End of the range (not included).")
    bucket_ms: Ms = Field(
        description="Length of a bucket. Above a minute it is whole minutes; ranges above 6 hours "
        "have none below a minute."
    )
    covered: list[tuple[UtcMs, UtcMs]] = Field(
        description="Recorded time as [from, to). Holes below 150 ms are closed."
    )
    gaps: list[GapItem] = Field(
        description="From the camera's first footage on. At the live edge, missing time becomes a "
        "gap after `late_ms`, or after `recording_ms` where the run has ended."
    )
    detections: list[DetectionCount]


class Chunk(ApiAnswer):
    """The joined fragments of one run that start in one window."""

    run: RunText
    window_start_ms: UtcMs = Field(description="Start of the window.")
    window_ms: Ms = Field(description="Length of the window.")
    revision: int = Field(ge=0, description="Counts up when the chunk is made again.")
    start_ms: UtcMs = Field(description="Start of its footage.")
    end_ms: UtcMs = Field(description="End of its footage.")
    size_bytes: Bytes = Field(description="Size of the chunk.")
    digest: str = Field(description="32 hex digits of what was joined; part of its address.")
    reason: DueReason = Field(description="Which rule made this revision due.")
    url: str = Field(description="Where its bytes are: a path of this server.")


class FragmentLink(ApiAnswer):
    """A fragment that is in no chunk yet."""

    run: RunText
    seq: int = Field(ge=0, description="Its place in the run, from 0.")
    start_ms: UtcMs = Field(description="Start of its footage.")
    end_ms: UtcMs = Field(description="End of its footage.")
    url: str = Field(description="Where its bytes are: a path of this server.")


class ChunksQuery(RangeQuery, PageQuery):
    """A range of at most 25 hours."""

    limit: Annotated[int, *whole_number(1, 5_000)] = Field(
        2_000, description="The most fragments and chunks of a page."
    )


class Chunks(PageAnswer):
    """The objects of a range, and what is missing."""

    from_ms: UtcMs = Field(description="Start of the range.")
    to_ms: UtcMs = Field(description="End of the range (not included).")
    chunks: list[Chunk] = Field(description="Chunks that overlap the range, by window and run.")
    fragments: list[FragmentLink] = Field(
        description="Fragments that are in no chunk yet. They come before the chunks."
    )
    gaps: list[GapItem] = Field(description="Of the whole range, on the first page only.")


class PlaylistQuery(ApiQuery):
    """A recorded range of at most 25 hours, or the live edge."""

    from_: Time | None = Field(
        None,
        alias="from",
        description="Start of the range: UTC ms, or RFC 3339 with its zone. Required unless "
        "`live`. Live: default a minute ago; an earlier one than an hour ago is moved up to that.",
    )
    to: Time | None = Field(None, description="End of the range. Default: now. Not with `live`.")
    live: Flag = Field(False, description="1: a playlist that grows and has no end.")


class ThumbnailQuery(ApiQuery):
    """Which frame, how wide."""

    at: Time | None = Field(
        None, description="The last keyframe at or before this time. Absent: the newest frame."
    )
    width: Annotated[int, *whole_number(16, 1_280)] = Field(
        320, description="Pixels; never larger than the video."
    )


class FilmstripQuery(RangeQuery):
    """Of which range, how many frames, how wide."""

    frames: Annotated[int, *whole_number(1, 60)] = Field(
        24, description="Frames, evenly spread over the range."
    )
    width: Annotated[int, *whole_number(16, 320)] = Field(160, description="Pixels of one frame.")


class SegmentQuery(ApiQuery):
    """How a missing fragment answers."""

    gap: Flag = Field(
        False, description="1: an empty segment while it is missing, for players that need one."
    )
