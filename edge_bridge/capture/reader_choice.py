"""Which reader a camera gets: the own RTSP client if it supports the stream, else FFmpeg."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from edge_bridge.capture import error_text
from edge_bridge.capture.clip_source import ClipSource
from edge_bridge.capture.ffmpeg_source import FfmpegSource
from edge_bridge.capture.native_source import NativeRtspSource
from edge_bridge.capture.recent_urls import RecentTexts, RecentUrls
from edge_bridge.capture.source import OnWait, Source
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import CameraError, UnsupportedStreamError

log = logging.getLogger(__name__)


class ReaderChoice:
    """Opens cameras and remembers which reader each needs. All cameras' threads share one."""

    def __init__(self) -> None:
        self._unsupported = RecentUrls()
        """Addresses that the own client cannot read; FFmpeg reads them at once."""
        self._redirecting = RecentUrls()
        """Addresses that redirect, which FFmpeg would follow without end."""
        self._closing = RecentUrls()
        """Addresses that close at a keep-alive method that they do not name."""
        self._audio_problems = RecentTexts()

    def open(
        self,
        camera: CameraConfig,
        no_data_s: float,
        stop: threading.Event,
        now_ms: Callable[[], int],
        on_wait: OnWait = lambda _: None,
    ) -> Source:
        """Connect to a camera or open a clip; raises CameraError, ConfigError."""
        source = self._open(camera, no_data_s, stop, now_ms, on_wait)
        if self._audio_problems.changed(camera.url, source.audio_problem):
            log.warning(
                "the camera's audio is not recorded, only its video: %s; set the audio to AAC or "
                "G.711 in the camera, or audio to false",
                source.audio_problem,
                extra={"camera": camera.id},
            )
        return source

    def _open(
        self,
        camera: CameraConfig,
        no_data_s: float,
        stop: threading.Event,
        now_ms: Callable[[], int],
        on_wait: OnWait,
    ) -> Source:
        if urlsplit(camera.url).scheme == "file":
            return ClipSource(camera.url, camera.audio, stop, now_ms)
        own = camera.reader == "auto" and camera.transport == "tcp"
        if own and (camera.needs_own_reader or camera.url not in self._unsupported):
            try:
                on_unsupported = partial(self._set_unsupported, camera)
                return NativeRtspSource(
                    camera,
                    no_data_s,
                    stop,
                    now_ms,
                    on_wait=on_wait,
                    on_unsupported=on_unsupported,
                    closing=self._closing,
                )
            except UnsupportedStreamError as error:
                if camera.needs_own_reader:
                    raise CameraError(error_text.only_ffmpeg_reads(str(error))) from None
                self._set_unsupported(camera, error)
        try:
            return FfmpegSource(camera, no_data_s, now_ms, self._redirecting)
        except CameraError as error:
            reason = self._unsupported.reason(camera.url)
            if reason and error_text.says_little(str(error)):
                raise CameraError(error_text.unreadable(reason)) from None
            raise

    def _set_unsupported(self, camera: CameraConfig, why: UnsupportedStreamError) -> None:
        log.info("read by FFmpeg: %s", why, extra={"camera": camera.id})
        self._unsupported.add(camera.url, str(why))
