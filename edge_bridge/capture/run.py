"""One run: a camera's packets become fragments in the spool, with their times in UTC."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from av.video.stream import VideoStream

from domain.clock import RunClock
from domain.errors import MediaError
from domain.events import FragmentArrived, RunStarted
from domain.unset_clock import is_provisional, is_undated
from edge_bridge import metrics
from edge_bridge.capture.batch import Batch
from edge_bridge.capture.gop_cache import GopCache
from edge_bridge.capture.source import Source
from edge_bridge.clock import EdgeClock
from edge_bridge.encoded_frame import (
    AudioCodecParameters,
    CodecParameters,
    EncodedAudio,
    EncodedFrame,
)
from media.access_unit import AccessUnit
from media.fragmenter import Fragment, Fragmenter, FragmentLimits
from media.packet import AnyPacket
from media.stamp_correction import StampCorrector
from media.timestamps import DiscontinuityError

log = logging.getLogger(__name__)


_MAX_KEYFRAMES = 1_000
"""The event's limit; the other keyframes are found in the bytes."""


class RecordingSink(Protocol):
    """Receives a run's results (the spool's thread). No method blocks.

    piece ── piece ── piece ── fragment     the fragment's bytes as they grow, then the rest
                               fragment     or all of them at once
    piece ── piece ── discard               or it is never completed
    """

    def piece(self, camera: str, run: str, seq: int, data: bytes | bytearray) -> None:
        """Append bytes to a fragment that grows; they do not change any more.

        A camera has few fragments that grow: where there are more, the oldest are discarded.
        """
        ...

    def fragment(
        self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted
    ) -> None:
        """Store a fragment. `data`: its bytes after the pieces; they do not change any more.

        Size and hash of the event are those of the whole fragment.
        """
        ...

    def discard(self, camera: str, run: str, seq: int) -> None:
        """Forget a fragment's pieces: it is never completed."""
        ...

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """Record a run's end."""
        ...


class FrameSink(Protocol):
    """Receives every encoded frame (local inference). It never blocks."""

    def offer(self, frame: EncodedFrame) -> bool:
        """Take or refuse a frame; its packet may be read until this method returns."""
        ...


@dataclass(slots=True)
class RecordingContext:
    """What all runs of one camera share.

    `frame_sink` changes where inference starts and stops.
    """

    camera: str
    edge: str
    stream: Literal["main", "sub"]
    limits: FragmentLimits
    sink: RecordingSink
    frame_sink: FrameSink | None
    now_ms: Callable[[], int]
    clock: EdgeClock = field(default_factory=EdgeClock)
    gop: GopCache = field(default_factory=GopCache)
    """Has the frames for the live view."""


class RunRecorder:
    """Records one run, until `end`. Raises MediaError, as `Fragmenter` does, when it must end."""

    def __init__(
        self,
        recording: RecordingContext,
        source: Source,
        video: VideoStream | None = None,
        corrector: StampCorrector | None = None,
    ) -> None:
        """`video` is the source's video as it is now, after its parameter sets changed.

        `corrector` is the connection's.
        """
        self._recording = recording
        self._clock = RunClock()
        self._corrector = corrector or StampCorrector()
        self._source = source
        self._audio = source.audio
        video = video or source.video
        self._fragmenter = Fragmenter(
            video,
            source.audio,
            recording.limits,
            self._observe,
            self._corrector,
            on_piece=self._hand_on,
            observe_audio=self._observe_audio,
        )
        if self._fragmenter.audio_problem:
            log.warning(
                "the camera's audio is not recorded, only its video: %s",
                self._fragmenter.audio_problem,
                extra={"camera": recording.camera},
            )
        self._parameters = CodecParameters(
            self._fragmenter.video_codec,
            bytes(video.codec_context.extradata or b""),
            self._fragmenter.width,
            self._fragmenter.height,
        )
        self._audio_parameters = _audio_parameters(self._fragmenter)
        self.id = recording.clock.new_run(recording.now_ms())
        self.fragments = 0
        self._next_ms = 0
        """UTC at which the next fragment starts."""
        self._audio_dropped = 0
        self._hashes: dict[int, hashlib._Hash] = {}
        """By seq: the hash of the pieces of a fragment that is not stored yet. There may be two:
        one that is closed, and the next one, whose first frame is larger than a piece."""
        self._previous_sha256: str | None = None
        """Of the fragment before; the next one's event names it."""
        self._clock_unset = is_undated(self.id)
        self._started: RunStarted | None = None
        """The run's first event; it exists from the first fragment on."""
        self._discontinuity: DiscontinuityError | None = None
        """Why the run ends at the next keyframe."""

    def push(self, batch: Batch) -> None:
        """Record the frames of a batch; after an exception it begins with the one that raised."""
        fragmenter = self._fragmenter
        frames = batch.frames
        while batch.at < len(frames):
            frame = frames[batch.at]
            if isinstance(frame, AccessUnit):
                closed = fragmenter.push_unit(frame)
            else:
                closed = fragmenter.push(*frame)
            for fragment in closed:
                self._store(fragment)
            batch.at += 1

    def end(self, reason: str) -> None:
        """Close the last fragment and record why the run ended."""
        self._recording.gop.forget()
        try:
            last = self._fragmenter.finish()
        except MediaError as error:  # only the muxer's end is lost; the fragments are there
            log.warning("%s", error, extra={"camera": self._recording.camera, "run": self.id})
            last = self._fragmenter.finish()
        for fragment in last:
            self._store(fragment)
        if self.fragments:
            self._recording.sink.end_run(self.id, self._next_ms, reason)
        metrics.RUNS_ENDED.labels(self._recording.camera).inc()

    @property
    def note(self) -> str:
        """What is wrong with a camera that is recorded all the same; empty if nothing is."""
        return self._fragmenter.keyframe_note or self._corrector.note

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether the camera sends frames, but no keyframe so far."""
        return self._fragmenter.waits_for_keyframe

    @property
    def clock(self) -> RunClock:
        """The run's clock; others only read it."""
        return self._clock

    def utc_ms(self, pts: int) -> int:
        """Return a frame's UTC by the run's clock as it is now."""
        return self._clock.utc_ms(pts)

    def _observe(
        self, packet: AnyPacket | bytes, pts: int, keyframe: bool, arrived_ms: int
    ) -> None:
        # A run ends only where the next one can begin: no frame between them is lost.
        if self._discontinuity is None:
            self._discontinuity = self._find_discontinuity(pts, arrived_ms)
        if self._discontinuity is not None and keyframe:
            raise self._discontinuity
        recording = self._recording
        frame_sink = recording.frame_sink
        if isinstance(packet, bytes):
            data, dts = packet, pts
        else:
            data, dts = bytes(packet), pts if packet.dts is None else packet.dts
        at_ms = self._clock.utc_ms(pts)
        frame = EncodedFrame(
            recording.camera, self.id, data, pts, at_ms, keyframe, self._parameters
        )
        if frame_sink is not None:
            frame_sink.offer(frame)
        recording.gop.video(frame, dts, self._audio_parameters)

    def _observe_audio(self, packet: AnyPacket) -> None:
        recording = self._recording
        recording.gop.audio(EncodedAudio(recording.camera, self.id, bytes(packet), packet.pts or 0))

    def _find_discontinuity(self, pts: int, arrived_ms: int) -> DiscontinuityError | None:
        """Return why the run cannot go on with this frame, if it cannot."""
        if self._source.audio is not self._audio:
            return DiscontinuityError("the camera's audio came")
        if self._clock_unset and not is_provisional(arrived_ms):
            return DiscontinuityError("this device's clock was wrong and has been set")
        if not self._clock.observe(pts, arrived_ms):
            return DiscontinuityError(
                "the camera's clock and this device's clock drifted apart by more than 5 s"
            )
        return None

    def _hand_on(self, seq: int, piece: bytes) -> None:
        """Hand on the next bytes of a fragment, while they are in the processor's cache."""
        if seq not in self._hashes:
            self._hashes[seq] = hashlib.sha256()
        self._hashes[seq].update(piece)
        self._recording.sink.piece(self._recording.camera, self.id, seq, piece)

    def _sha256(self, fragment: Fragment) -> str:
        whole = self._hashes.pop(fragment.seq, None)
        if whole is None:
            return hashlib.sha256(fragment.data).hexdigest()
        whole.update(fragment.data)
        return whole.hexdigest()

    def _store(self, fragment: Fragment) -> None:
        recording = self._recording
        sha256 = self._sha256(fragment)
        start_ms = self._next_ms if self.fragments else self._clock.advance(fragment.start_pts)
        self._next_ms = self._clock.advance(fragment.end_pts)
        event = FragmentArrived(
            camera=recording.camera,
            run=self.id,
            seq=fragment.seq,
            start_ms=start_ms,
            duration_ms=self._next_ms - start_ms,
            start_pts=fragment.start_pts,
            arrived_ms=fragment.arrived_ms,
            closed_ms=recording.now_ms(),
            frames=fragment.frames,
            size_bytes=fragment.size,
            sha256=sha256,
            video_codec=self._fragmenter.video_codec,
            audio_codec=self._fragmenter.audio_codec,
            width=self._fragmenter.width,
            height=self._fragmenter.height,
            keyframes=list(fragment.keyframes[:_MAX_KEYFRAMES]),
        ).with_previous(self._previous_sha256)
        self._previous_sha256 = sha256
        if self._started is None:
            self._started = RunStarted(
                camera=recording.camera,
                run=self.id,
                started_ms=start_ms,
                edge=recording.edge,
                stream=recording.stream,
            )
        self.fragments += 1
        recording.sink.fragment(event, fragment.data, self._started)
        self._count(event)

    def _count(self, event: FragmentArrived) -> None:
        metrics.FRAMES.labels(event.camera).inc(event.frames)
        metrics.FRAGMENTS.labels(event.camera).inc()
        metrics.FRAGMENT_BYTES.labels(event.camera).inc(event.size_bytes)
        metrics.NEWEST.labels(event.camera).set(event.end_ms / 1_000)
        dropped = self._fragmenter.audio_dropped
        metrics.AUDIO_DROPPED.labels(event.camera).inc(dropped - self._audio_dropped)
        self._audio_dropped = dropped
        log.debug(
            "fragment closed", extra={"camera": event.camera, "run": event.run, "seq": event.seq}
        )


def _audio_parameters(fragmenter: Fragmenter) -> AudioCodecParameters | None:
    context = fragmenter.audio_context
    if context is None:
        return None
    return AudioCodecParameters(
        str(fragmenter.audio_codec),
        bytes(context.extradata or b""),
        context.sample_rate,
        context.layout.nb_channels,
    )
