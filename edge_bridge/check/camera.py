"""Checks a camera: connects, and waits for what a recording needs."""

import threading
import time

from domain.errors import ConfigError, MediaError
from domain.times import utc_ms
from edge_bridge.capture.reader_choice import ReaderChoice
from edge_bridge.check.result import CheckResult
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import CameraError
from media.fragmenter import Fragmenter, FragmentLimits

_MAX_KEYFRAME_S = 20.0
_GOOD_KEYFRAME_S = 10.0
_SET_GOP = "set the camera's keyframe interval (GOP) to 2 to 4 s"


def streams_of(camera: CameraConfig) -> list[CameraConfig]:
    """Return the camera, and its sub stream as a camera of its own where it has one."""
    if camera.sub_url is None:
        return [camera]
    changes = {"id": f"{camera.id}, sub stream", "url": camera.sub_url, "audio": False}
    return [camera, camera.model_copy(update={**changes, "sub_url": None})]


def check_camera(camera: CameraConfig, no_data_s: float) -> CheckResult:
    """Connect, and wait for two keyframes: their distance is the GOP's length."""
    what = f"camera {camera.id}"
    started_s = time.monotonic()

    def give_up(_: str) -> None:
        if time.monotonic() - started_s > _MAX_KEYFRAME_S:
            raise CameraError(f"no keyframe within {_MAX_KEYFRAME_S:.0f} s: {_SET_GOP}")

    try:
        source = ReaderChoice().open(camera, no_data_s, threading.Event(), utc_ms, give_up)
    except ConfigError as error:
        text = str(error).removeprefix(f"{what}: ").rstrip(".")
        return CheckResult(what, "bad", text, "correct its password_file or password_env")
    except MediaError as error:
        return _bad(what, error, "check the camera, its url, and its username and password")
    try:
        fragmenter = Fragmenter(source.video, source.audio, FragmentLimits())
        audio = fragmenter.audio_codec or "no audio"
        text = f"{fragmenter.video_codec} {fragmenter.width}x{fragmenter.height}, {audio}"
        first_pts: int | None = None
        for packet, _ in source.packets():
            if packet.stream is source.video and packet.is_keyframe and packet.pts is not None:
                if first_pts is not None:
                    gap_s = float((packet.pts - first_pts) * (packet.time_base or 0))
                    return _keyframe_result(what, text, gap_s)
                first_pts = packet.pts
            if time.monotonic() - started_s > _MAX_KEYFRAME_S:
                break
    except MediaError as error:
        return _bad(what, error, "check the camera's stream settings and its network")
    finally:
        source.close()
    if first_pts is None:
        text += f", no keyframe within {_MAX_KEYFRAME_S:.0f} s"
        return CheckResult(what, "bad", text, _SET_GOP)
    return _keyframe_result(what, text, _MAX_KEYFRAME_S)


def _bad(what: str, error: MediaError, default_remedy: str) -> CheckResult:
    """Return a problem of the camera; in its text, what to do follows the colon."""
    found, _, remedy = str(error).rstrip(".").partition(": ")
    return CheckResult(what, "bad", found, remedy or default_remedy)


def _keyframe_result(what: str, text: str, gap_s: float) -> CheckResult:
    if gap_s <= 0:
        return CheckResult(
            what, "bad", f"{text}, time stamps that do not increase", "update the camera's firmware"
        )
    if gap_s > _GOOD_KEYFRAME_S:
        text += f", keyframes more than {_GOOD_KEYFRAME_S:.0f} s apart"
        return CheckResult(what, "fair", text, _SET_GOP)
    return CheckResult(what, "good", f"{text}, keyframe every {gap_s:.1f} s")
