"""The keyframe index of a TS file: where in its bytes a decoder can start.

All packets' headers are looked at together (numpy); only the few that begin a picture or a table
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
_LONGEST_ADAPTATION = mpegts.PACKET - 5

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """What a TS file's bytes say of its pictures."""

    video_codec: str
    audio_codec: str | None
    frames: int
    first_pts: int
    """The smallest PTS shown, 90 kHz, unwrapped near what was asked."""
    last_pts: int
    """The greatest PTS shown."""
    keyframes: tuple[Keyframe, ...]


def index(data: bytes, near_pts: int = 0) -> VideoIndex:
    """Read a fragment or chunk; times are unwrapped to be close to `near_pts`.

    A picture is a keyframe where its first packet has the random access indicator. Raises
    MediaError where the bytes are no transport stream with H.264 or H.265 pictures.
    """
    try:
        return _index(data, near_pts)
    except IndexError:  # a length that points beyond its packet
        raise MediaError("a table is longer than its packet: the file is damaged.") from None


def _index(data: bytes, near_pts: int) -> VideoIndex:
    heads = _heads(data)
    pids = (heads[:, 1].astype(np.int64) & 0x1F) << 8 | heads[:, 2]
    starts = (heads[:, 1] & _STARTS) != 0
    map_at, codecs = _programme(data, pids, starts)
    video = next((pid for pid, name in codecs.items() if name in ("h264", "hevc")), None)
    of_video = pids == video
    of_video[: map_at + 1] = False  # what stands before the map cannot be read
    pictures = np.flatnonzero(of_video & starts)
    if video is None or not len(pictures):
        raise MediaError("no H.264 or H.265 pictures stand in the file.")
    ends = _ends(np.flatnonzero(of_video), pictures)
    times: list[int] = []
    keyframes: list[Keyframe] = []
    near = near_pts
    for at, end in zip(pictures.tolist(), ends.tolist(), strict=True):
        packet = mpegts.packet(data, at * mpegts.PACKET)
        pts = mpegts.pes(packet.payload).pts
        if pts is None:
            raise MediaError(f"the picture at byte {packet.offset} has no PTS.")
        near = mpegts.unwrap(pts, near)
        times.append(near)
        if packet.random_access:
            size = end * mpegts.PACKET - packet.offset
            keyframes.append(Keyframe(pts=near, offset=packet.offset, size=size))
    audio = next((name for pid, name in codecs.items() if pid != video), None)
    return VideoIndex(codecs[video], audio, len(times), min(times), max(times), tuple(keyframes))


def _heads(data: bytes) -> npt.NDArray[np.uint8]:
    """Return the packets as rows of bytes; raises MediaError where one is damaged."""
    mpegts.check_whole(data)
    packets = np.frombuffer(data, np.uint8).reshape(-1, mpegts.PACKET)
    unsound = packets[:, 0] != mpegts.SYNC
    unsound |= (packets[:, 3] & _ADAPTATION != 0) & (packets[:, 4] > _LONGEST_ADAPTATION)
    if unsound.any():  # it raises, saying what is wrong
        mpegts.packet(data, int(unsound.argmax()) * mpegts.PACKET)
    return packets


def _programme(
    data: bytes, pids: Numbers, starts: npt.NDArray[np.bool_]
) -> tuple[int, dict[int, str]]:
    """Return which packet is the programme's first map that names video, and the map."""
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


def _ends(of_video: Numbers, pictures: Numbers) -> Numbers:
    """Return after which packet each picture's last one stands, given the video's packets."""
    following = np.append(pictures[1:], of_video[-1] + 1)
    ends: Numbers = of_video[np.searchsorted(of_video, following) - 1] + 1
    return ends
