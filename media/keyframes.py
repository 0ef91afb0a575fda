"""The keyframe index of a TS file: where in its bytes a decoder can start.

numpy reads the headers of all packets at once. Only the few packets that begin a frame or a table
are read one by one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.errors import MediaError
from domain.events import Keyframe
from media import mpegts

_STARTS = 0x40  # byte 1: payload unit start indicator
_ADAPTATION = 0x20  # byte 3: an adaptation field follows the header
_MAX_ADAPTATION = mpegts.PACKET - 5

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """What the bytes of a TS file say about its video."""

    video_codec: str
    audio_codec: str | None
    frames: int
    first_pts: int
    """The smallest PTS, 90 kHz, unwrapped near the given PTS."""
    last_pts: int
    """The largest PTS."""
    keyframes: tuple[Keyframe, ...]


def index_video(data: bytes | memoryview, near_pts: int = 0) -> VideoIndex:
    """Read a fragment or chunk; times are unwrapped to be close to `near_pts`.

    A frame is a keyframe if its first packet has the random access indicator. Raises MediaError if
    the bytes are not a transport stream with H.264 or H.265 video.
    """
    try:
        return _index(data, near_pts)
    except IndexError:  # a length that points beyond its packet
        raise MediaError("a table is longer than its packet: the file is damaged.") from None


def _index(data: bytes | memoryview, near_pts: int) -> VideoIndex:
    headers = _headers(data)
    pids = (headers[:, 1].astype(np.int64) & 0x1F) << 8 | headers[:, 2]
    starts = (headers[:, 1] & _STARTS) != 0
    pmt_index, codecs = _program_map(data, pids, starts)
    video = next((pid for pid, name in codecs.items() if name in ("h264", "hevc")), None)
    is_video = pids == video
    is_video[: pmt_index + 1] = False  # packets before the PMT cannot be decoded
    frame_starts = np.flatnonzero(is_video & starts)
    if video is None or not len(frame_starts):
        raise MediaError("the file holds no H.264 or H.265 video.")
    ends = _ends(np.flatnonzero(is_video), frame_starts)
    times: list[int] = []
    keyframes: list[Keyframe] = []
    near = near_pts
    for at, end in zip(frame_starts.tolist(), ends.tolist(), strict=True):
        packet = mpegts.packet(data, at * mpegts.PACKET)
        pts = mpegts.pes(packet.payload).pts
        if pts is None:
            raise MediaError(f"the frame at byte {packet.offset} has no PTS.")
        near = mpegts.unwrap(pts, near)
        times.append(near)
        if packet.random_access:
            size = end * mpegts.PACKET - packet.offset
            keyframes.append(Keyframe(pts=near, offset=packet.offset, size=size))
    audio = next((name for pid, name in codecs.items() if pid != video), None)
    return VideoIndex(codecs[video], audio, len(times), min(times), max(times), tuple(keyframes))


def _headers(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    """Return the packets as rows of bytes; raises MediaError if one is damaged."""
    mpegts.check_whole(data)
    packets = np.frombuffer(data, np.uint8).reshape(-1, mpegts.PACKET)
    damaged = packets[:, 0] != mpegts.SYNC
    damaged |= (packets[:, 3] & _ADAPTATION != 0) & (packets[:, 4] > _MAX_ADAPTATION)
    if damaged.any():  # mpegts.packet raises, with the reason
        mpegts.packet(data, int(damaged.argmax()) * mpegts.PACKET)
    return packets


def _program_map(
    data: bytes | memoryview, pids: Int64Array, starts: npt.NDArray[np.bool_]
) -> tuple[int, dict[int, str]]:
    """Return the index of the first PMT that lists video, and its streams (PID to codec)."""
    tables = np.flatnonzero((pids == mpegts.PAT_PID) & starts)
    if not len(tables):
        return 0, {}
    first = int(tables[0])
    program = mpegts.pmt_pid(mpegts.packet(data, first * mpegts.PACKET).payload)
    codecs: dict[int, str] = {}
    for at in np.flatnonzero((pids == program) & starts).tolist():
        if at > first:
            codecs = mpegts.streams(mpegts.packet(data, at * mpegts.PACKET).payload)
            if not {"h264", "hevc"}.isdisjoint(codecs.values()):
                return at, codecs
    return 0, codecs


def _ends(video: Int64Array, frame_starts: Int64Array) -> Int64Array:
    """Return the index after each frame's last packet, given the indexes of video packets."""
    following = np.append(frame_starts[1:], video[-1] + 1)
    ends: Int64Array = video[np.searchsorted(video, following) - 1] + 1
    return ends
