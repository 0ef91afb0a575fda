"""Which reader a camera gets: our own where it is plain, FFmpeg's for everything else."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from edge_bridge.capture.clip_source import ClipSource
from edge_bridge.capture.ffmpeg_source import FfmpegSource
from edge_bridge.capture.native_source import NativeRtspSource
from edge_bridge.capture.source import Source
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import UnsupportedStreamError

log = logging.getLogger(__name__)

_MOST_REMEMBERED = 256
_not_plain: dict[str, None] = {}
"""Addresses that our own reader cannot read; FFmpeg's is taken at once for them."""


def open_source(
    camera: CameraConfig, no_data_s: float, stop: threading.Event, now_ms: Callable[[], int]
) -> Source:
    """Connect to a camera or open a clip; raises CameraError, ConfigError."""
    if urlsplit(camera.url).scheme == "file":
        return ClipSource(camera.url, camera.audio, stop, now_ms)
    if camera.reader == "auto" and camera.transport == "tcp" and camera.url not in _not_plain:
        try:
            return NativeRtspSource(camera, no_data_s, now_ms, partial(_remember, camera))
        except UnsupportedStreamError as why:
            _remember(camera, why)
    return FfmpegSource(camera, no_data_s, now_ms)


def _remember(camera: CameraConfig, why: UnsupportedStreamError) -> None:
    log.info("read by FFmpeg: %s", why, extra={"camera": camera.id})
    _not_plain[camera.url] = None
    while len(_not_plain) > _MOST_REMEMBERED:
        _not_plain.pop(next(iter(_not_plain)), None)
