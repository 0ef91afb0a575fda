"""The video of an MPEG-TS fragment as access units, without FFmpeg.

    TS packets of 188 bytes ─► those of the video's PID ─► PES by PES ─► access units

FFmpeg's demuxer opens a fragment by reading and probing it: that costs as much as decoding twelve
frames. Our fragments are known to begin with PAT, PMT and a keyframe. Headers are read for all
packets at once with numpy; payloads are copied in runs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import MediaError
from media import mpegts

VIDEO = ("h264", "hevc")
_HEAD = 9
"""Bytes of a PES header before its own length ends."""


@dataclass(frozen=True, slots=True)
class VideoUnit:
    """One access unit in decode order."""

    pts: int
    """33 bits, 90 kHz."""
    keyframe: bool
    data: bytes
    """NAL units in Annex B form."""


@dataclass(frozen=True, slots=True)
class FragmentVideo:
    """The video of one fragment."""

    codec: str
    """FFmpeg's name: h264 or hevc."""
    units: list[VideoUnit]


def read_video(data: bytes, *, keyframes_only: bool = False) -> FragmentVideo:
    """Return the access units of a fragment's video; raises MediaError where it is damaged.

    `keyframes_only`: the payloads of all others are not touched.
    """
    mpegts.check_whole(data)
    packets = np.frombuffer(data, np.uint8).reshape(-1, mpegts.PACKET)
    if (packets[:, 0] != mpegts.SYNC).any():
        at = int(np.flatnonzero(packets[:, 0] != mpegts.SYNC)[0]) * mpegts.PACKET
        raise MediaError(f"no transport stream packet at byte {at}: the file is damaged.")
    pids = (packets[:, 1] & 0x1F).astype(np.int64) << 8 | packets[:, 2]
    pid, codec = _video_stream(data, pids)
    video = packets[(pids == pid) & (packets[:, 3] & 0x10 != 0)]
    starts = np.flatnonzero(video[:, 1] & 0x40)
    if not len(starts):
        raise MediaError("it has no video frame: the file is damaged.")
    ends = np.append(starts[1:], len(video))
    bodies = _body_offsets(video)
    random_access = _random_access(video)
    units = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        keyframe = bool(random_access[start])
        if keyframes_only and not keyframe:
            continue
        payload = _join(video[start:end], bodies[start:end])
        times = mpegts.pes(payload)
        if times.pts is None:
            raise MediaError("a video frame has no time stamp: the file is damaged.")
        units.append(VideoUnit(times.pts, keyframe, payload[_HEAD + payload[8] :]))
    return FragmentVideo(codec, units)


def _video_stream(data: bytes, pids: NDArray[np.signedinteger[Any]]) -> tuple[int, str]:
    """Return the PID and codec of the video, from the first PAT and PMT."""
    pmt = mpegts.pmt_pid(_section(data, pids, mpegts.PAT_PID, "PAT"))
    for pid, codec in mpegts.streams(_section(data, pids, pmt, "PMT")).items():
        if codec in VIDEO:
            return pid, codec
    raise MediaError("it has no video.")


def _section(data: bytes, pids: NDArray[np.signedinteger[Any]], pid: int, name: str) -> bytes:
    found = np.flatnonzero(pids == pid)
    if not len(found):
        raise MediaError(f"it has no {name}: the file is damaged.")
    payload = mpegts.packet(data, int(found[0]) * mpegts.PACKET).payload
    if not payload or payload[0] + 13 > len(payload):
        raise MediaError(f"its {name} is cut short: the file is damaged.")
    return payload


def _body_offsets(video: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where the payload of each packet begins."""
    with_field = video[:, 3] & 0x20 != 0
    lengths = np.where(with_field, video[:, 4].astype(np.int64) + 1, 0)
    if (lengths > mpegts.PACKET - 4).any():
        raise MediaError("bad adaptation field: the file is damaged.")
    return lengths + 4


def _random_access(video: NDArray[np.uint8]) -> NDArray[np.bool_]:
    has_flags = (video[:, 3] & 0x20 != 0) & (video[:, 4] > 0)
    return np.asarray(has_flags & (video[:, 5] & 0x40 != 0))


def _join(packets: NDArray[np.uint8], bodies: NDArray[np.int64]) -> bytes:
    """Return the payloads of one PES packet; nearly all of its packets are full."""
    partial = np.flatnonzero(bodies != 4)
    parts: list[bytes] = []
    done = 0
    for at in partial.tolist():
        if at > done:
            parts.append(packets[done:at, 4:].tobytes())
        parts.append(packets[at, int(bodies[at]) :].tobytes())
        done = at + 1
    if done < len(packets):
        parts.append(packets[done:, 4:].tobytes())
    return b"".join(parts)
