"""Tries a camera: connects, and waits for what a recording needs."""

import threading
import time

from domain.errors import ConfigError, MediaError
from domain.times import utc_ms
from edge_bridge.capture.reader_choice import ReaderChoice
from edge_bridge.check.result import CheckResult
from edge_bridge.config import CameraConfig
from media.fragmenter import Fragmenter, FragmentLimits

_KEYFRAME_S = 20.0
_ADVISED_KEYFRAME_S = 10.0
_SET_GOP = "set the camera's keyframe interval (GOP) to 2 to 4 s"


def streams_of(camera: CameraConfig) -> list[CameraConfig]:
    """Return the camera, and its sub stream as one of its own where it has one."""
    if camera.sub_url is None:
        return [camera]
    changes = {"id": f"{camera.id}, sub stream", "url": camera.sub_url, "audio": False}
    return [camera, camera.model_copy(update={**changes, "sub_url": None})]


def check_camera(camera: CameraConfig, no_data_s: float) -> CheckResult:
    """Connect, and wait for a keyframe and what comes up to the next one."""
    what = f"camera {camera.id}"
    began_s = time.monotonic()
    try:
        source = ReaderChoice().open(camera, no_data_s, threading.Event(), utc_ms)
    except ConfigError as error:
        text = str(error).removeprefix(f"{what}: ").rstrip(".")
        return CheckResult(what, "bad", text, "mend its password_file or password_env")
    except MediaError as error:
        return _bad(what, error, "look at the camera, its url, and its username and password")
    try:
        fragmenter = Fragmenter(source.video, source.audio, FragmentLimits())
        sound = fragmenter.audio_codec or "no sound"
        text = f"{fragmenter.video_codec} {fragmenter.width}x{fragmenter.height}, {sound}"
        first_pts: int | None = None
        for packet, _ in source.packets():
            if packet.stream is source.video and packet.is_keyframe and packet.pts is not None:
                if first_pts is not None:
                    gap_s = float((packet.pts - first_pts) * (packet.time_base or 0))
                    return _apart(what, text, gap_s)
                first_pts = packet.pts
            if time.monotonic() - began_s > _KEYFRAME_S:
                break
    except MediaError as error:
        return _bad(what, error, "look at the camera's stream settings and its network")
    finally:
        source.close()
    if first_pts is None:
        text += f", no keyframe within {_KEYFRAME_S:.0f} s"
        return CheckResult(what, "bad", text, _SET_GOP)
    return _apart(what, text, _KEYFRAME_S)


def _bad(what: str, error: MediaError, otherwise: str) -> CheckResult:
    """Return a fault of the camera: what stands after the colon is what to do."""
    found, _, remedy = str(error).rstrip(".").partition(": ")
    return CheckResult(what, "bad", found, remedy or otherwise)


def _apart(what: str, text: str, gap_s: float) -> CheckResult:
    if gap_s <= 0:
        return CheckResult(
            what, "bad", f"{text}, time stamps that do not go on", "update the camera's firmware"
        )
    if gap_s > _ADVISED_KEYFRAME_S:
        text += f", keyframes more than {_ADVISED_KEYFRAME_S:.0f} s apart"
        return CheckResult(what, "fair", text, _SET_GOP)
    return CheckResult(what, "good", f"{text}, keyframe every {gap_s:.1f} s")
