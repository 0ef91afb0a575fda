"""The keyframe index of a TS file: where in its bytes a decoder can start."""

from dataclasses import dataclass

from domain.errors import MediaError
from domain.events import Keyframe
from media import mpegts


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
    program: int | None = None
    codecs: dict[int, str] = {}
    video: int | None = None
    times: list[int] = []
    keyframes: list[Keyframe] = []
    open_key: tuple[int, int] | None = None  # (pts, offset) of the keyframe being read
    end = 0
    near = near_pts
    for packet in mpegts.packets(data):
        if packet.pid == mpegts.PAT_PID and packet.starts and program is None:
            program = mpegts.pmt_pid(packet.payload)
        elif packet.pid == program and packet.starts and video is None:
            codecs = mpegts.streams(packet.payload)
            video = next((pid for pid, name in codecs.items() if name in ("h264", "hevc")), None)
        elif packet.pid == video:
            if packet.starts:
                if open_key is not None:
                    keyframes.append(_keyframe(open_key, end))
                pts = mpegts.pes(packet.payload).pts
                if pts is None:
                    raise MediaError(f"the picture at byte {packet.offset} has no PTS.")
                near = mpegts.unwrap(pts, near)
                times.append(near)
                open_key = (near, packet.offset) if packet.random_access else None
            end = packet.offset + mpegts.PACKET
    if open_key is not None:
        keyframes.append(_keyframe(open_key, end))
    if video is None or not times:
        raise MediaError("no H.264 or H.265 pictures stand in the file.")
    audio = next((name for pid, name in codecs.items() if pid != video), None)
    return VideoIndex(codecs[video], audio, len(times), min(times), max(times), tuple(keyframes))


def _keyframe(start: tuple[int, int], end: int) -> Keyframe:
    pts, offset = start
    return Keyframe(pts=pts, offset=offset, size=end - offset)
