"""A camera that speaks plain RTSP over TCP, read by our own client: far cheaper than FFmpeg's.

    socket ──► interleaved ──► pictures ──► packets      a tenth of a second at a time, where
               (edge_bridge/rtsp)  └► sound              nobody looks at the camera

Other codecs, B-frames and rare ways of packing raise UnsupportedStreamError: FFmpeg reads those
streams, and the address is remembered. See docs/design/rtsp.md.
"""

import io
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from edge_bridge import metrics
from edge_bridge.capture import error_text
from edge_bridge.capture.coalescing import Arrived
from edge_bridge.capture.memory_limits import limit_allocations
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.audio_depacketizer import AudioDepacketizer, AudioFrame
from edge_bridge.rtsp.av_sync import PICTURES_HZ, AvSync
from edge_bridge.rtsp.errors import CameraError, UnsupportedStreamError
from edge_bridge.rtsp.h26x_depacketizer import AccessUnit, H26xDepacketizer
from edge_bridge.rtsp.interleaved import FragmentHandler, InterleavedReader, PacketHandler
from edge_bridge.rtsp.nal import parameter_sets
from edge_bridge.rtsp.rtp import sender_report
from edge_bridge.rtsp.sdp import MediaDescription
from edge_bridge.rtsp.session import RtspStream, open_stream
from media.packet import AnyPacket

_NAP_S = 0.4
_AT_ONCE = 256 << 10
"""So many bytes may come during a nap, for they wait in the kernel: half a second of 4 Mbit/s."""
_HASTE_NAP_S = 0.01
"""Where somebody looks: a picture comes in some dozen packets within this."""
_SETTLING_S = 3
"""So long arrivals are told to 10 ms in any case: the run's time is fixed by them."""
_FIRST_KEY_S = 20
_BACK_TICKS = PICTURES_HZ
"""A picture that is shown before its forerunner by no more than this: the camera reorders them."""
_TIME_BASE = Fraction(1, PICTURES_HZ)


class NativeRtspSource:
    """One connection to a camera."""

    def __init__(
        self,
        camera: CameraConfig,
        no_data_s: float,
        now_ms: Callable[[], int],
        when_not_plain: Callable[[UnsupportedStreamError], None],
    ) -> None:
        """Connect and wait for a keyframe; raises CameraError, ConfigError, UnsupportedStreamError.

        `when_not_plain` is called where that shows only later.
        """
        self._when_not_plain = when_not_plain
        limit_allocations()
        self._camera, self._no_data_s, self._now_ms = camera, no_data_s, now_ms
        self.low_latency = True
        secret = camera.password() if camera.username is not None else None
        password = None if secret is None else secret.get_secret_value()
        self._playing = open_stream(
            camera.url, camera.username, password, audio=camera.audio, within_s=error_text.OPEN_S
        )
        try:
            self._listen(self._playing)
            self._probe = self._first_look()
        except OSError as error:
            self._playing.teardown()
            raise CameraError(error_text.error_text(error)) from None
        except BaseException:
            self._playing.teardown()
            raise
        self.video: VideoStream = self._probe.streams.video[0]
        self.video.time_base = _TIME_BASE
        self._began_s = time.monotonic()
        self._playing.connection.settimeout(no_data_s)

    def packets(self) -> Iterator[Arrived]:
        """Yield packets; raises CameraError when the camera ends, cuts or says nothing."""
        reason = "the camera closed the stream"
        try:
            yield from self._taken()
            while self._read():
                yield from self._taken()
        except TimeoutError:
            reason = f"no data for {self._no_data_s:g} s"
        except OSError as error:
            reason = error_text.error_text(error)
        except UnsupportedStreamError as why:
            self._when_not_plain(why)
            raise CameraError(f"the camera is read by FFmpeg from now on: {why}") from None
        self._pictures.finish()
        yield from self._taken()
        raise CameraError(reason)

    def close(self) -> None:
        """Hang up."""
        self._count_lost()
        self._playing.teardown()

    def _listen(self, playing: RtspStream) -> None:
        """Have each stream's packets taken."""
        takes: dict[int, PacketHandler] = {}
        goes: dict[int, FragmentHandler] = {}
        self._sound: AudioDepacketizer | None = None
        for channel, media in playing.channels.items():
            if media.kind == "video":
                self._pictures = H26xDepacketizer(media, channel)
                self._sets = parameter_sets(media.format)
                takes[channel] = self._pictures.take
                goes[channel] = self._pictures.go_on
            else:
                self._sound = AudioDepacketizer(media)
                takes[channel] = self._sound.take
        self.audio: AudioStream | None = None if self._sound is None else self._sound.stream
        self._sync: AvSync | None = None
        if self._sound is not None:
            self._sync = AvSync(self._pictures.time, self._sound.time, self._sound.clock_hz)
            for channel, media in playing.reports.items():
                takes[channel] = self._reports_of(media, self._sync)
        self._stream = InterleavedReader(
            playing.connection, playing.rest, takes, goes, playing.answered
        )
        self._began_s = self._spoke_s = self._picture_s = time.monotonic()
        self._napped = self._spoke_s, 0
        self._newest: tuple[int, int] | None = None
        self._lost = 0
        self._hand_on()

    def _first_look(self) -> InputContainer:
        """Wait for a keyframe and have FFmpeg look at it; what comes before it is dropped."""
        began_s = time.monotonic()
        seen = False
        while True:
            waiting = self._pictures.done
            seen = seen or bool(waiting)
            while waiting and not (waiting[0].key and (waiting[0].sets or self._sets)):
                del waiting[0]
            if waiting:
                if self._sound is not None:
                    self._sound.done.clear()
                return self._probed(waiting[0])
            left_s = (_FIRST_KEY_S if seen else error_text.OPEN_S) - (time.monotonic() - began_s)
            if left_s <= 0 and seen:
                raise UnsupportedStreamError("no keyframe came that can be understood")
            self._playing.connection.settimeout(max(left_s, 0.01))
            try:
                if left_s <= 0 or not self._read():
                    raise TimeoutError
            except TimeoutError:
                if not seen:
                    raise CameraError(error_text.NOTHING.format(error_text.OPEN_S)) from None

    def _probed(self, key: AccessUnit) -> InputContainer:
        name = self._pictures.kinds.name
        try:
            probe = av.open(io.BytesIO(self._with_sets(key)), "r", format=name)
            context = probe.streams.video[0].codec_context
        except (av.FFmpegError, ValueError, IndexError):
            raise UnsupportedStreamError("its keyframe is not understood") from None
        if not (context.width and context.height):
            raise UnsupportedStreamError("its picture's size is not understood")
        if context.has_b_frames:
            raise UnsupportedStreamError(
                "its pictures may come in another order than they are shown"
            )
        return probe

    def _with_sets(self, picture: AccessUnit) -> bytes:
        return picture.data if picture.sets or not picture.key else self._sets + picture.data

    def _read(self) -> bool:
        """Read what has come, or wait for it; False: the camera closed the stream."""
        now_s = time.monotonic()
        if now_s - self._spoke_s > self._playing.keep_alive_s:
            self._spoke_s = now_s
            self._playing.connection.sendall(self._playing.keep_alive())
            self._count_lost()
        if now_s - self._picture_s > max(self._no_data_s, error_text.OPEN_S):
            raise TimeoutError
        if not self._stream.has_more:
            haste = self.low_latency or now_s - self._began_s < _SETTLING_S
            time.sleep(_HASTE_NAP_S if haste else self._nap_s(now_s))
        if not self._stream.receive():
            return False
        self._hand_on()
        return True

    def _nap_s(self, now_s: float) -> float:
        """Return how long what comes may gather, by what came since the last nap."""
        (since_s, before), self._napped = self._napped, (now_s, self._stream.received)
        came = max(self._stream.received - before, 1)
        return min(_NAP_S, _AT_ONCE * (now_s - since_s) / came)

    def _hand_on(self) -> None:
        self._pictures.now_ms = now_ms = self._now_ms()
        if self._sound is not None:
            self._sound.now_ms = now_ms
        self._stream.dispatch()
        if self._pictures.done:
            self._picture_s = time.monotonic()

    def _taken(self) -> Iterator[Arrived]:
        """Yield what is whole."""
        pictures = self._pictures.done
        for picture in pictures:
            yield self._packet(picture), picture.arrived_ms
        pictures.clear()
        if self._sound is None or self._sync is None or self._newest is None:
            return
        for piece in self._sound.done:
            shift = self._sync.arrived(self._newest, (piece.ticks, piece.arrived_ms))
            yield _sounding(piece, shift, self._sound), piece.arrived_ms
        self._sound.done.clear()

    def _packet(self, picture: AccessUnit) -> AnyPacket:
        newest, self._newest = self._newest, (picture.ticks, picture.arrived_ms)
        if newest is not None and 0 < newest[0] - picture.ticks <= _BACK_TICKS:
            raise UnsupportedStreamError("its pictures come in another order than they are shown")
        packet = av.Packet(self._with_sets(picture))
        packet.stream = self.video
        packet.time_base = _TIME_BASE
        packet.pts = packet.dts = picture.ticks
        packet.is_keyframe = picture.key
        return packet

    def _reports_of(self, media: MediaDescription, sync: AvSync) -> PacketHandler:
        def take(data: bytearray, at: int, end: int) -> None:
            report = sender_report(bytes(data[at:end]))
            if report is not None:
                sync.reported(media.kind == "audio", report)

        return take

    def _count_lost(self) -> None:
        """Count the packets that the camera sent and left out of the stream, as they number."""
        lost = self._pictures.sequence.lost
        if self._sound is not None:
            lost += self._sound.sequence.lost
        metrics.PACKETS_LOST.labels(self._camera.id).inc(lost - self._lost)
        self._lost = lost


def _sounding(piece: AudioFrame, shift: int, sound: AudioDepacketizer) -> AnyPacket:
    packet = av.Packet(piece.data)
    packet.stream = sound.stream
    packet.time_base = sound.time_base
    packet.pts = packet.dts = piece.ticks + shift
    packet.duration = piece.duration
    packet.is_keyframe = True
    return packet
