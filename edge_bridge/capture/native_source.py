"""A camera over RTSP and TCP, read by the own client: far cheaper than FFmpeg's.

    socket ──► InterleavedReader ──► H26xDepacketizer ──► packets     up to 0.4 s at once,
               (edge_bridge/rtsp) └► AudioDepacketizer                if no one waits for it

Other codecs, B-frames and rare ways of packing raise UnsupportedStreamError: FFmpeg reads those
streams, and the address is remembered. See docs/design/rtsp.md.
"""

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from edge_bridge import metrics
from edge_bridge.capture import error_text
from edge_bridge.capture.coalescing import Arrived
from edge_bridge.capture.recent_urls import RecentUrls
from edge_bridge.capture.source import WAITS_FOR_KEYFRAME, OnWait, ReaderChangedError
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.audio_depacketizer import AudioDepacketizer, AudioFrame
from edge_bridge.rtsp.av_sync import VIDEO_CLOCK_HZ, AvSync
from edge_bridge.rtsp.connection import CameraTrust
from edge_bridge.rtsp.display_order import may_be_b_frame
from edge_bridge.rtsp.errors import (
    END_OF_STREAM,
    CameraError,
    CameraRefusedError,
    UnsupportedStreamError,
)
from edge_bridge.rtsp.h26x_depacketizer import H26xDepacketizer
from edge_bridge.rtsp.interleaved import InterleavedReader, PacketHandler, UsualHandler
from edge_bridge.rtsp.nal import parameter_sets
from edge_bridge.rtsp.parameter_sets import ParameterSets
from edge_bridge.rtsp.rtp import sender_report
from edge_bridge.rtsp.sdp import MediaDescription
from edge_bridge.rtsp.session import RtspStream, open_stream
from media.access_unit import AccessUnit
from media.allocation_limit import limit_allocations
from media.packet import AnyPacket

_MAX_DELAY_S = 0.4
_MAX_DELAYED_BYTES = 256 << 10
"""Bytes that may arrive during a delay: they wait in the kernel. Half a second of 4 Mbit/s."""
_LOW_LATENCY_DELAY_S = 0.01
"""Delay if inference analyses the stream: the dozen packets of a frame come within this."""
_SETTLING_S = 3
"""At first arrivals are measured to 10 ms in any case: they fix the run's time."""
_FIRST_KEYFRAME_S = 15 * 60
_GIVE_UP_S = 1.5
"""After this time FFmpeg may try a stream of which no frame could be read..."""
_GIVE_UP_EMPTY = 5
_GIVE_UP_BYTES = 16 << 10
"""...if so many of its packets held no slice, or if so many bytes of something else came."""
_AUDIO_WAIT_S = 1.0
"""So long the first frames wait for audio that is offered. Some cameras never send it."""
_GIVE_UP_UNCLAIMED = 10
"""...or if so many packets came in other channels, or with another payload type."""
_ASKED_CHANNELS = (0, 2)
_POLL_S = 1.0
_MAX_REORDER_TICKS = VIDEO_CLOCK_HZ
"""Timestamps that go back by at most this may mean B-frames; by more, a fault of the camera."""
_TIME_BASE = Fraction(1, VIDEO_CLOCK_HZ)


class NativeRtspSource:
    """One connection to a camera."""

    def __init__(
        self,
        camera: CameraConfig,
        no_data_s: float,
        stop: threading.Event,
        now_ms: Callable[[], int],
        *,
        on_wait: OnWait,
        on_unsupported: Callable[[UnsupportedStreamError], None],
        closing: RecentUrls,
    ) -> None:
        """Connect and wait for a keyframe; raises CameraError, ConfigError, UnsupportedStreamError.

        `on_unsupported` is called if the stream turns out to be unsupported only later. `closing`
        holds the addresses that close at a keep-alive method that they do not name.
        """
        self._stop = stop
        self._on_wait = on_wait
        self._closing = closing
        self._on_unsupported = on_unsupported
        limit_allocations()
        self._camera = camera
        self._no_data_s = no_data_s
        self._now_ms = now_ms
        self.low_latency = True
        secret = camera.password() if camera.username is not None else None
        password = None if secret is None else secret.get_secret_value()
        self.audio_problem = ""
        try:
            self._connect(password, camera.audio)
        except CameraError as error:
            # A camera may send nothing, or close, because of its audio.
            if self._tried_audio is None or isinstance(error, CameraRefusedError) or stop.is_set():
                raise
            self._connect(password, False)
            self.audio_problem = "with it the camera sends no video that can be read"
        self.audio_problem = self.audio_problem or self._rtsp.audio_problem
        if self._audio_depacketizer is not None and self.audio is None:
            self.audio_problem = "it is offered, but does not come"
        self.video: VideoStream = self._probe.streams.video[0]
        self.video.time_base = _TIME_BASE
        self._began_s = time.monotonic()

    def _connect(self, password: str | None, audio: bool) -> None:
        """Connect and wait for a keyframe; raises as the constructor."""
        self._tried_audio: AudioDepacketizer | None = None
        camera = self._camera
        self._rtsp = open_stream(
            camera.url,
            camera.username,
            password,
            audio=audio,
            within_s=error_text.OPEN_TIMEOUT_S,
            trust=CameraTrust(camera.tls_fingerprint, camera.allow_basic),
        )
        if camera.url in self._closing:
            self._rtsp.use_named_methods()
        try:
            self._start_reader(self._rtsp)
            self._tried_audio = self._audio_depacketizer
            self._probe = self._probe_stream()
        except OSError as error:
            self._rtsp.teardown()
            raise CameraError(error_text.error_text(error)) from None
        except BaseException:
            self._rtsp.teardown()
            raise

    def packets(self) -> Iterator[Arrived]:
        """Yield packets; raises CameraError when the camera closes, resets or sends nothing."""
        for batch in self.batches():
            for frame in batch:
                yield self._packet(frame) if isinstance(frame, AccessUnit) else frame

    def batches(self) -> Iterator[Sequence[AccessUnit | Arrived]]:
        """Yield the frames that one read brought; raises as `packets`."""
        reason = END_OF_STREAM
        try:
            yield from self._ready_frames()
            while self._read():
                yield from self._ready_frames()
        except TimeoutError:
            reason = f"no data for {self._no_data_s:g} s"
        except OSError as error:
            reason = error_text.error_text(error)
        except UnsupportedStreamError as why:
            self._on_unsupported(why)
            raise ReaderChangedError(f"the camera is read by FFmpeg from now on: {why}") from None
        if self._rtsp.unnamed_pending:
            self._closing.add(self._camera.url)
        self._video_depacketizer.finish()
        yield from self._ready_frames()
        raise CameraError(reason)

    def close(self) -> None:
        """Close the session."""
        self._count_lost()
        self._rtsp.teardown()

    def _start_reader(self, rtsp: RtspStream) -> None:
        """Create the depacketizers, and the reader that calls them."""
        packet_handlers: dict[int, PacketHandler] = {}
        usual_handlers: dict[int, UsualHandler] = {}
        self._audio_depacketizer: AudioDepacketizer | None = None
        for channel, media in rtsp.rtp_channels.items():
            if media.kind == "video":
                self._video_depacketizer = H26xDepacketizer(media, channel)
                types = self._video_depacketizer.nal_types
                self._parameter_sets = ParameterSets(types, parameter_sets(media.fmtp, types))
                packet_handlers[channel] = self._video_depacketizer.push
                usual_handlers[channel] = self._video_depacketizer.push_usual
            else:
                self._audio_depacketizer = AudioDepacketizer(media)
                packet_handlers[channel] = self._audio_depacketizer.push
        for channel in _ASKED_CHANNELS:
            # Some cameras use those that were asked for, and answer with others.
            packet_handlers.setdefault(channel, self._video_depacketizer.push)
        audio = self._audio_depacketizer
        self.audio: AudioStream | None = None
        self._audio_begun = False
        """Whether a keyframe came since the audio came: runs begin there."""
        self._sync: AvSync | None = None
        if audio is not None:
            video = self._video_depacketizer
            self._sync = AvSync(video.timestamps, audio.timestamps, audio.clock_hz)
            for channel, media in rtsp.rtcp_channels.items():
                packet_handlers[channel] = self._report_handler(media, self._sync)
        self._reader = InterleavedReader(
            rtsp.socket, rtsp.leftover, packet_handlers, usual_handlers, rtsp.handle_message
        )
        now_s = time.monotonic()
        self._began_s = now_s
        self._keep_alive_s = now_s
        self._frame_s = now_s
        self._received_s = now_s
        self._last_delay = (now_s, 0)
        """When the last delay began, and how many bytes had come until then."""
        self._newest: tuple[int, int] | None = None
        """The newest video frame: ticks, UTC ms of arrival."""
        self._lost = self._dropped = 0
        self._has_bare_keyframes = False
        """Whether keyframes came, but no parameter sets."""
        rtsp.socket.settimeout(min(_POLL_S, rtsp.keep_alive_s))
        self._dispatch()

    def _probe_stream(self) -> InputContainer:
        """Wait for a keyframe and let FFmpeg probe it; earlier frames are dropped.

        Smart codecs send a keyframe in minutes. While frames come, only a fault that FFmpeg may not
        have ends the wait.
        """
        began_s = waited_s = time.monotonic()
        frame_s: float | None = None
        while True:
            ready = self._video_depacketizer.ready
            now_s = time.monotonic()
            if ready and frame_s is None:
                frame_s = now_s
            while ready and not self._can_start_at(ready[0]):
                del ready[0]
            if ready:
                probe = self._probe_keyframe(ready[0])
                self._wait_for_audio()
                return probe
            if frame_s is None:
                self._check_first_frame(now_s - began_s)
            elif self._has_bare_keyframes and now_s - frame_s >= _GIVE_UP_S:
                raise UnsupportedStreamError("its keyframes come without parameter sets")
            elif now_s - frame_s > _FIRST_KEYFRAME_S:
                raise UnsupportedStreamError("no keyframe came that can be decoded")
            elif now_s - waited_s >= _POLL_S and now_s - frame_s >= _GIVE_UP_S:
                waited_s = now_s
                self._on_wait(WAITS_FOR_KEYFRAME)
            if self._stop.is_set():
                raise CameraError("stopped while it waited for a keyframe")
            self._wait_for_video()

    def _wait_for_audio(self) -> None:
        """Wait a moment for the first audio: without any, the first run has no audio track."""
        audio = self._audio_depacketizer
        if audio is None:
            return
        until_s = time.monotonic() + _AUDIO_WAIT_S
        with contextlib.suppress(OSError):
            while not audio.ready and time.monotonic() < until_s and not self._stop.is_set():
                if not self._read():
                    break
        if audio.ready:
            self.audio = audio.stream
            self._audio_begun = True

    def _wait_for_video(self) -> None:
        if self._audio_depacketizer is not None:
            self._audio_depacketizer.ready.clear()  # no video, so no audio yet
        try:
            if not self._read():
                raise CameraError(END_OF_STREAM)
        except TimeoutError:
            text = error_text.NO_VIDEO.format(error_text.OPEN_TIMEOUT_S)
            raise CameraError(text) from None

    def _check_first_frame(self, waited_s: float) -> None:
        """Check that what comes becomes frames; raises UnsupportedStreamError, CameraError."""
        if waited_s >= error_text.OPEN_TIMEOUT_S:
            raise CameraError(error_text.NO_VIDEO.format(error_text.OPEN_TIMEOUT_S))
        if waited_s < _GIVE_UP_S:
            return
        if self._video_depacketizer.empty >= _GIVE_UP_EMPTY:
            raise UnsupportedStreamError("its packets become no video frame")
        video = self._video_depacketizer
        unclaimed = self._reader.unclaimed + video.payload_types.unclaimed
        if not video.packets and (
            self._reader.received >= _GIVE_UP_BYTES or unclaimed >= _GIVE_UP_UNCLAIMED
        ):
            raise UnsupportedStreamError("its packets are not those of its SDP")

    def _can_start_at(self, unit: AccessUnit) -> bool:
        """Return whether the stream can start with a frame.

        A keyframe without parameter sets is none at which the stream can start.
        """
        if unit.has_parameter_sets:
            self._parameter_sets.learn(unit.data)
        if not unit.keyframe or self._parameter_sets.can_decode:
            return unit.keyframe
        self._has_bare_keyframes = True
        return False

    def _probe_keyframe(self, keyframe: AccessUnit) -> InputContainer:
        name = self._video_depacketizer.nal_types.name
        try:
            probe = av.open(io.BytesIO(self._with_parameter_sets(keyframe).data), "r", format=name)
            context = probe.streams.video[0].codec_context
        except (av.FFmpegError, ValueError, IndexError):
            raise UnsupportedStreamError("FFmpeg cannot read its keyframe") from None
        if not (context.width and context.height):
            raise UnsupportedStreamError("the size of its video is unknown")
        if context.has_b_frames:
            raise UnsupportedStreamError("its video may have B-frames")
        return probe

    def _with_parameter_sets(self, unit: AccessUnit) -> AccessUnit:
        if unit.keyframe:
            return unit._replace(data=self._parameter_sets.completed(unit.data))
        if unit.has_parameter_sets:
            self._parameter_sets.learn(unit.data)
        return unit

    def _read(self) -> bool:
        """Read what has arrived, or wait for it; return False if the camera closed the stream."""
        now_s = time.monotonic()
        if now_s - self._keep_alive_s > self._rtsp.keep_alive_s:
            self._keep_alive_s = now_s
            self._rtsp.socket.sendall(self._rtsp.keep_alive())
            self._count_lost()
        if now_s - self._frame_s > max(self._no_data_s, error_text.OPEN_TIMEOUT_S):
            raise TimeoutError
        if not self._reader.has_more:
            at_once = self.low_latency or now_s - self._began_s < _SETTLING_S
            time.sleep(_LOW_LATENCY_DELAY_S if at_once else self._coalesce_delay_s(now_s))
        try:
            if not self._reader.receive():
                return False
        except TimeoutError:
            # The socket waits only until the next keep-alive is due.
            if time.monotonic() - self._received_s >= self._no_data_s:
                raise
            return True
        self._received_s = now_s
        self._dispatch()
        return True

    def _coalesce_delay_s(self, now_s: float) -> float:
        """Return how long packets may collect, by the bytes that came since the last delay."""
        since_s, before = self._last_delay
        self._last_delay = (now_s, self._reader.received)
        received = max(self._reader.received - before, 1)
        return min(_MAX_DELAY_S, _MAX_DELAYED_BYTES * (now_s - since_s) / received)

    def _dispatch(self) -> None:
        now_ms = self._now_ms()
        self._video_depacketizer.now_ms = now_ms
        if self._audio_depacketizer is not None:
            self._audio_depacketizer.now_ms = now_ms
        self._reader.dispatch()
        if self._video_depacketizer.ready:
            self._frame_s = time.monotonic()

    def _ready_frames(self) -> Iterator[Sequence[AccessUnit | Arrived]]:
        """Yield the complete video and audio frames as one batch, if there are any.

        Raises UnsupportedStreamError after the frames before one out of display order.
        """
        units = self._video_depacketizer.ready
        frames: list[AccessUnit | Arrived] = []
        unordered = False
        for unit in units:
            newest = self._newest
            self._newest = (unit.ticks, unit.arrived_ms)
            steps_back = newest is not None and 0 < newest[0] - unit.ticks <= _MAX_REORDER_TICKS
            if steps_back and self._may_be_b_frame(unit):
                unordered = True
                break
            sets = unit.has_parameter_sets or unit.keyframe
            frames.append(self._with_parameter_sets(unit) if sets else unit)
        audio = self._audio_depacketizer
        if audio is not None and audio.ready and not self._audio_begun:
            # The run has no audio track. The next one begins at a keyframe, and has one.
            self.audio = audio.stream
            self._audio_begun = any(unit.keyframe for unit in units)
            if not self._audio_begun:
                audio.ready.clear()
        units.clear()
        if audio is not None and self._sync is not None and self._newest is not None:
            for frame in audio.ready:
                offset = self._sync.offset(self._newest, (frame.ticks, frame.arrived_ms))
                frames.append((_audio_packet(frame, offset, audio), frame.arrived_ms))
            audio.ready.clear()
        if frames:
            yield frames
        if unordered:
            raise UnsupportedStreamError("its frames do not come in display order")

    def _may_be_b_frame(self, unit: AccessUnit) -> bool:
        types = self._video_depacketizer.nal_types
        return may_be_b_frame(unit.data, self._parameter_sets.sps, types)

    def _packet(self, unit: AccessUnit) -> Arrived:
        packet = av.Packet(unit.data)
        packet.stream = self.video
        packet.time_base = _TIME_BASE
        packet.pts = packet.dts = unit.ticks
        packet.is_keyframe = unit.keyframe
        return packet, unit.arrived_ms

    def _report_handler(self, media: MediaDescription, sync: AvSync) -> PacketHandler:
        def handle(data: bytearray, at: int, end: int) -> None:
            report = sender_report(bytes(data[at:end]))
            if report is not None:
                sync.report(media.kind == "audio", report)

        return handle

    def _count_lost(self) -> None:
        """Count the packets that the camera numbered and never sent."""
        lost = self._video_depacketizer.sequence.lost
        if self._audio_depacketizer is not None:
            lost += self._audio_depacketizer.sequence.lost
        metrics.PACKETS_LOST.labels(self._camera.id).inc(lost - self._lost)
        self._lost = lost
        dropped = self._video_depacketizer.units_dropped
        metrics.UNITS_DROPPED.labels(self._camera.id).inc(dropped - self._dropped)
        self._dropped = dropped


def _audio_packet(frame: AudioFrame, offset: int, audio: AudioDepacketizer) -> AnyPacket:
    packet = av.Packet(frame.data)
    packet.stream = audio.stream
    packet.time_base = audio.time_base
    packet.pts = packet.dts = frame.ticks + offset
    packet.duration = frame.duration
    packet.is_keyframe = True
    return packet
