"""A camera over RTSP, read by FFmpeg; its faults as text for the operator and the timeline."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av import error as av_error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from edge_bridge.capture import error_text
from edge_bridge.capture.coalescing import Arrived, Coalescer
from edge_bridge.capture.diagnose import diagnose
from edge_bridge.capture.recent_urls import RecentUrls
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp import errors
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError
from media.aac_encoder import codec_of
from media.allocation_limit import limit_allocations
from media.fragmenter import VIDEO_CODECS
from media.packet import AnyPacket

log = logging.getLogger(__name__)

_PROBES = ((3, 5 << 20), (12, 32 << 20))
"""Seconds and bytes in which FFmpeg waits for parameter sets: first, and once again with more.

The second is for cameras that send them with keyframes only, and keyframes rarely. The first is
enough for all others. It is also the whole cost if a camera offers audio and never sends it.
"""
_GENPTS = 0x0001
_MAX_HELD_BACK = 20

_NO_PARAMETER_SETS = (
    "the camera sends no parameter sets, so its video cannot be read: restart the camera, set its "
    "keyframe interval (GOP) to 2 to 4 s, or choose another stream"
)

_REFUSALS = (av_error.HTTPUnauthorizedError, av_error.HTTPForbiddenError)
_TIMEOUTS = (av_error.ExitError, av_error.TimeoutError, TimeoutError)
_NOT_ABOUT_AUDIO = (*_REFUSALS, *_TIMEOUTS, av_error.ConnectionRefusedError)
"""After any other error the camera is opened once more without audio: it must not cost video."""


class FfmpegSource:
    """One connection to a camera."""

    def __init__(
        self,
        camera: CameraConfig,
        no_data_s: float,
        now_ms: Callable[[], int],
        redirecting: RecentUrls,
    ) -> None:
        """Connect and find the streams; raises CameraError.

        `redirecting` holds the addresses that redirect. FFmpeg follows redirects without end: so
        these cameras are asked first, and a camera found to redirect is added.
        """
        limit_allocations()
        self._camera = camera
        self._now_ms = now_ms
        self._no_data_s = no_data_s
        self._redirecting = redirecting
        self.low_latency = True
        self.audio_problem = ""
        self._with_audio = camera.audio
        if camera.url in redirecting and (problem := diagnose(camera.url)) is not None:
            raise CameraError(problem)
        began_s = time.monotonic()
        for probe_s, probe_bytes in _PROBES:
            self._open(probe_s, probe_bytes)
            if _is_known(self.video):
                break
            self.close()
            if time.monotonic() - began_s >= error_text.OPEN_TIMEOUT_S:
                raise CameraError(error_text.NO_VIDEO.format(error_text.OPEN_TIMEOUT_S))
        else:
            raise CameraError(_NO_PARAMETER_SETS)
        audio = self._container.streams.audio
        self.audio = audio[0] if camera.audio and audio else None
        if self.audio is not None and not _is_recordable(self.audio):
            self.audio_problem = "its SDP does not say how the audio is encoded"
            self.audio = None

    def _open(self, probe_s: int, probe_bytes: int) -> None:
        options = {
            "rtsp_transport": self._camera.transport,
            "timeout": str(int(max(self._no_data_s, error_text.OPEN_TIMEOUT_S) * 1_000_000)),
            "allowed_media_types": "video+audio" if self._with_audio else "video",
            "analyzeduration": str(probe_s * 1_000_000),
            "probesize": str(probe_bytes),
            "reorder_queue_size": "500",
            "buffer_size": str(4 << 20),
        }
        url = _with_password(self._camera)
        timeout = (error_text.OPEN_TIMEOUT_S, self._no_data_s)
        try:
            self._container: InputContainer = av.open(url, "r", options=options, timeout=timeout)
        except (av.FFmpegError, OSError, ValueError) as error:
            if self._with_audio and not isinstance(error, _NOT_ABOUT_AUDIO):
                self._with_audio = False
                self._open(probe_s, probe_bytes)
                self.audio_problem = "the camera's stream can be opened only without it"
                return
            kind = CameraRefusedError if isinstance(error, _REFUSALS) else CameraError
            raise kind(self._open_error_text(error)) from None
        # FFmpeg would hold packets back to generate PTS; media/ does that itself.
        self._container.flags &= ~_GENPTS
        try:
            self.video = self._container.streams.video[0]
        except IndexError:
            self.close()
            raise CameraError("the camera's stream has no video: choose another one") from None
        if self.video.codec_context is None:
            self.close()
            raise CameraError("the camera's video codec is unknown: set it to H.264 or H.265")

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield packets; raises CameraError when the camera closes, resets or sends nothing."""
        streams = [self.video] if self.audio is None else [self.video, self.audio]
        coalescer = Coalescer()
        holdback = HoldbackBuffer()
        reason = errors.END_OF_STREAM
        try:
            for packet in self._container.demux(*streams):
                if not packet.size:
                    continue
                now = coalescer.push((packet, self._now_ms()), self.low_latency)
                if now:
                    yield from self._release(now, holdback)
        except (av.FFmpegError, OSError) as error:
            reason = self._read_error_text(error)
        yield from self._release(coalescer.flush(), holdback)
        yield from holdback.flush()
        raise CameraError(reason)

    def _release(self, now: Sequence[Arrived], holdback: "HoldbackBuffer") -> Iterator[Arrived]:
        for arrived in now:
            if arrived[0].stream is self.video:
                yield from holdback.push(arrived)
            else:
                yield arrived

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _read_error_text(self, error: Exception) -> str:
        if isinstance(error, _TIMEOUTS):
            return f"no data for {self._no_data_s:g} s"
        return error_text.error_text(error)

    def _open_error_text(self, error: Exception) -> str:
        problem = None
        timed_out = isinstance(error, _TIMEOUTS)
        refused = isinstance(error, av_error.HTTPUnauthorizedError)
        if timed_out or refused or not error_text.has_own_text(error):
            problem = diagnose(self._camera.url)
        if problem is not None and errors.REDIRECTED in problem:
            self._redirecting.add(self._camera.url)
        if problem is not None:
            return problem
        if refused and self._camera.username is None:
            return errors.CREDENTIALS_REQUIRED
        if timed_out:
            return errors.timeout(error_text.OPEN_TIMEOUT_S)
        return error_text.error_text(error)


def _is_known(video: VideoStream) -> bool:
    """Return whether the size is known, or not needed: the codec alone rules the stream out."""
    context = video.codec_context
    return bool(context.width) or context.codec.canonical_name not in VIDEO_CODECS


def _is_recordable(audio: AudioStream) -> bool:
    """Return whether the SDP says enough about the audio for MPEG-TS.

    If not, the muxer would fail, and the video's run would end too.
    """
    context = audio.codec_context
    if context is None or not (context.sample_rate and context.layout.nb_channels):
        return False
    return codec_of(audio) != "aac" or bool(context.extradata)


class HoldbackBuffer:
    """Holds the newest frames back until later ones follow.

    When a connection breaks, FFmpeg returns the part that it has of a truncated frame. That frame
    must not be recorded, nor a frame that is shown after it: there would be a hole.

        decoding order   I0 P3 B1 B2 P6 B4|      B4 is truncated: P6 is shown after it
        recorded         I0 P3 B1 B2
    """

    def __init__(self) -> None:
        self._held: deque[tuple[AnyPacket, int]] = deque()

    def push(self, newest: tuple[AnyPacket, int]) -> Iterator[tuple[AnyPacket, int]]:
        """Take a frame; yield the frames that are safe: all that is shown before them has come."""
        dts = newest[0].dts
        while self._held:
            pts = self._held[0][0].pts
            waits = pts is not None and dts is not None and pts > dts
            if waits and len(self._held) < _MAX_HELD_BACK:
                break
            yield self._held.popleft()
        self._held.append(newest)

    def flush(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield the frames that are whole after a connection has broken."""
        if not self._held:
            return
        truncated, _ = self._held.pop()
        for frame in self._held:
            pts = frame[0].pts
            if pts is not None and truncated.pts is not None and pts > truncated.pts:
                return
            yield frame


def _with_password(camera: CameraConfig) -> str:
    if camera.username is None:
        return camera.url
    secret = camera.password()
    user = quote(camera.username, safe="")
    if secret is not None:
        user += ":" + quote(secret.get_secret_value(), safe="")
    parts = urlsplit(camera.url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
