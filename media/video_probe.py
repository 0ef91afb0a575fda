"""Reads the encoding of a video from one of its keyframes, and says what changed in it."""

import io

import av
from av.video.stream import VideoStream


def probe_keyframe(keyframe: bytes, codec: str) -> VideoStream | None:
    """Return the video of a keyframe in Annex B form, with size and parameter sets.

    `codec` is h264 or hevc. None if FFmpeg cannot read the keyframe.
    """
    try:
        video = av.open(io.BytesIO(keyframe), "r", format=codec).streams.video[0]
        context = video.codec_context
    except (av.FFmpegError, ValueError, IndexError):
        return None
    return video if context.width and context.height else None


def describe_change(before: VideoStream, after: VideoStream) -> str:
    """Return in words what differs between two encodings of one camera."""
    old, new = before.codec_context, after.codec_context
    if (old.width, old.height) != (new.width, new.height):
        what = "size" if old.width * old.height else "unknown size"
        return f"{what} from {old.width}x{old.height} to {new.width}x{new.height}"
    if old.profile != new.profile and old.profile and new.profile:
        return f"profile from {old.profile} to {new.profile}"
    if old.framerate and new.framerate and old.framerate != new.framerate:
        return (
            f"frame rate from {float(old.framerate):g} to {float(new.framerate):g} a second, "
            "as its SPS says"
        )
    return "encoding (its SPS), with the same size"
