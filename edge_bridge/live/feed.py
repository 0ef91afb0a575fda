"""One feed of a camera while it is watched: its frames become live messages.

    camera's thread            event loop
    frame ── a copy ──────────► muxer ─► LiveChannel ─► the cloud, the device's own page
    audio ── a copy ──────────► waits for the next picture

A run's first keyframe begins a new format, and so does one with other parameter sets. What comes
before a keyframe is dropped. Nothing of this exists while no one watches.
"""

import asyncio
import contextlib
import logging

from domain.errors import MediaError
from domain.events import Detection
from domain.live_stream import LiveChannel, LiveKind, LiveMessage
from edge_bridge.encoded_frame import AudioCodecParameters, EncodedAudio, EncodedFrame
from media.fmp4 import AudioParameters, Fmp4Muxer, MediaFrame, VideoParameters

log = logging.getLogger(__name__)

LATE_MS = 2_000
"""Boxes of a picture that is so much older than the newest one are dropped."""
_PLAYED_AUDIO = ("aac", "opus")
"""Browsers play these from MP4."""
_MAX_AUDIO_FRAMES = 200
"""That wait for a picture."""


class LiveFeed:
    """Makes the messages of one feed; a LiveSink of capture. Made in the event loop."""

    def __init__(self, camera: str, feed: str) -> None:
        self.channel = LiveChannel()
        self.problem = ""
        """Why there is no picture; empty: none is known."""
        self.note = ""
        """What people must know of the picture; sent with its format."""
        self._log_fields = {"camera": camera, "feed": feed}
        self._loop = asyncio.get_running_loop()
        self._muxer: Fmp4Muxer | None = None
        self._run = ""
        self._audio: list[MediaFrame] = []
        self._newest_ms = 0

    def video(self, frame: EncodedFrame, dts: int, audio: AudioCodecParameters | None) -> None:
        """Take a frame; see LiveSink."""
        media = MediaFrame(frame.data, frame.pts, dts, frame.keyframe)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the edge stops
            self._loop.call_soon_threadsafe(self._add_video, frame, media, audio)

    def audio(self, frame: EncodedAudio) -> None:
        """Take a frame of audio; see LiveSink."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._add_audio, frame)

    def detections(self, event: Detection) -> None:
        """Send the boxes of pictures after them; late ones are dropped, and those before any."""
        if self._muxer is None:
            return
        frames = [
            {
                "at_ms": frame.at_ms,
                "objects": [each.model_dump(mode="json") for each in frame.objects],
            }
            for frame in event.frames
            if self._newest_ms - frame.at_ms <= LATE_MS
        ]
        if frames:
            fields = {
                "camera": event.camera,
                "model": event.model,
                "model_version": event.model_version,
                "frames": frames,
            }
            self.channel.push(LiveMessage.text(LiveKind.DETECTIONS, fields))

    def _add_audio(self, frame: EncodedAudio) -> None:
        if self._muxer is not None and frame.run == self._run:
            self._audio.append(MediaFrame(frame.data, frame.pts, frame.pts, True, True))
            del self._audio[:-_MAX_AUDIO_FRAMES]

    def _add_video(
        self, frame: EncodedFrame, media: MediaFrame, audio: AudioCodecParameters | None
    ) -> None:
        try:
            if not self._prepare(frame, media, audio):
                return
            assert self._muxer is not None
            segment = self._muxer.segment([media, *self._audio])
        except MediaError as error:
            self._fail(str(error))
            return
        self._audio = []
        self._newest_ms = frame.at_ms
        self.channel.push(LiveMessage.media(segment, frame.at_ms, keyframe=frame.keyframe))

    def _prepare(
        self, frame: EncodedFrame, media: MediaFrame, audio: AudioCodecParameters | None
    ) -> bool:
        """Make the muxer where a format begins; return False until the first keyframe."""
        muxer = self._muxer
        if muxer is not None and frame.run == self._run:
            if not frame.keyframe or muxer.accepts(media.data):
                return True
        elif not frame.keyframe:
            self._muxer = None
            return False
        self._run = frame.run
        self._audio = []
        parameters = frame.codec_parameters
        self._muxer = muxer = Fmp4Muxer(
            VideoParameters(parameters.codec, parameters.extradata, media.data),
            _played(audio),
        )
        self.problem = ""
        fields = {
            "codecs": muxer.codecs,
            "width": muxer.width,
            "height": muxer.height,
            "note": self.note,
        }
        self.channel.push(LiveMessage.text(LiveKind.FORMAT, fields))
        self.channel.push(LiveMessage.init(muxer.init()))
        return True

    def _fail(self, problem: str) -> None:
        """Begin again at the next keyframe."""
        self._muxer = None
        if problem != self.problem:
            log.warning("no live picture: %s", problem, extra=self._log_fields)
            self.problem = problem
            self.channel.push(LiveMessage.text(LiveKind.END, {"reason": problem}))


def _played(audio: AudioCodecParameters | None) -> AudioParameters | None:
    if audio is None or audio.codec not in _PLAYED_AUDIO:
        return None
    return AudioParameters(audio.codec, audio.extradata, audio.sample_rate, audio.channels)
