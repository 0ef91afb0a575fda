"""Starts, restarts and stops one recorder per camera, as the configuration says."""

import asyncio
import logging
import time
from collections.abc import Collection

from domain.events import CameraStatus, Detection
from domain.live_stream import Feed
from edge_bridge import metrics
from edge_bridge.capture.gop_cache import GopCache, bytes_per_feed
from edge_bridge.capture.live_sink import LiveSink
from edge_bridge.capture.reader_choice import ReaderChoice
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import FrameSink, RecordingContext, RecordingSink
from edge_bridge.clock import EdgeClock
from edge_bridge.config import CameraConfig, EdgeConfig
from edge_bridge.config.inference import Mask
from media.fragmenter import FragmentLimits

log = logging.getLogger(__name__)

_JOIN_S = 4.0
"""How long a recorder's thread may take to close its last fragment."""
CHANGED = "configuration changed"
_NOT_USED_BY_RECORDER = ("priority", "privacy_masks", "sub_url")
"""Keys of a camera that a recorder does not use: a change restarts nothing."""


class RecorderManager:
    """Owns the recorders. Call its methods in the event loop."""

    def __init__(self, sink: RecordingSink, clock: EdgeClock) -> None:
        self._sink = sink
        self._clock = clock
        self._reader_choice = ReaderChoice()
        self._recorders: dict[str, Recorder] = {}
        self._key_of: dict[str, object] = {}
        """Camera -> what its recorder depends on. A different value needs a new recorder."""
        self._privacy_masks: dict[str, list[Mask]] = {}
        self.config: EdgeConfig | None = None
        """What was applied last."""
        self._live_sinks: dict[tuple[str, Feed], LiveSink] = {}
        """Of what is watched now."""

    @property
    def ids(self) -> Collection[str]:
        """The full ids of the cameras, as they are now."""
        return self._recorders.keys()

    @property
    def statuses(self) -> list[CameraStatus]:
        """The state of each camera."""
        return [recorder.status for recorder in self._recorders.values()]

    def privacy_masks(self, camera: str) -> list[Mask]:
        """Return the privacy masks of a camera, given its full id."""
        return self._privacy_masks.get(camera, [])

    def set_live_sink(self, camera: str, feed: Feed, sink: LiveSink | None) -> None:
        """Offer a feed's frames to `sink` from now on, or to no one; the recording goes on."""
        if sink is None:
            self._live_sinks.pop((camera, feed), None)
        else:
            self._live_sinks[camera, feed] = sink
        self._apply_live_sinks(camera)

    def check_sub_stream(self, camera: str) -> str:
        """Show the main stream as `sub` while the sub stream fails; return why, or nothing."""
        recorder = self._recorders.get(camera)
        return "" if recorder is None else recorder.check_sub()

    def _apply_live_sinks(self, camera: str) -> None:
        recorder = self._recorders.get(camera)
        if recorder is not None:
            main, sub = (
                self._live_sinks.get((camera, "main")),
                self._live_sinks.get((camera, "sub")),
            )
            recorder.set_live_sinks((main,) if main else (), (sub,) if sub else ())

    async def apply(self, config: EdgeConfig, frame_sink: FrameSink | None) -> None:
        """Record these cameras. A camera that has not changed continues without interruption."""
        self.config = config
        self._privacy_masks = config.privacy_masks()
        wanted = {config.camera_id(camera): camera for camera in config.cameras}
        keys = {name: _recorder_key(camera, config) for name, camera in wanted.items()}
        stale = [name for name in self._recorders if self._key_of[name] != keys.get(name)]
        await self._stop(stale, CHANGED)
        for name in stale:
            if name not in wanted:
                metrics.RECORDING.remove(name)
                metrics.set_analysed_stream(name, None)
        for name, recorder in self._recorders.items():
            recorder.set_frame_sink(frame_sink, wanted[name].sub_url)
        for name, camera in wanted.items():
            if name not in self._recorders:
                recorder = self._new_recorder(name, camera, config, frame_sink)
                self._recorders[name] = recorder
                self._key_of[name] = keys[name]
                self._apply_live_sinks(name)
                recorder.start()

    async def stop(self) -> None:
        """End all runs."""
        await self._stop(list(self._recorders))

    def corrected(self, detection: Detection) -> Detection:
        """Return a detection with the times that its run's clock gives now.

        The first frames are analysed before the run has seen the frame with the least delay.
        """
        recorder = self._recorders.get(detection.camera)
        if recorder is None:
            return detection
        frames = []
        for frame in detection.frames:
            at_ms = recorder.utc_ms(detection.run, frame.pts)
            frames.append(frame if at_ms is None else frame.model_copy(update={"at_ms": at_ms}))
        return detection.model_copy(update={"frames": frames})

    async def _stop(self, names: list[str], reason: str | None = None) -> None:
        """Stop recorders; with a reason, forget them too."""
        stopping = {name: self._recorders[name] for name in names}
        for recorder in stopping.values():
            recorder.stop(reason) if reason else recorder.stop()
        deadline = time.monotonic() + _JOIN_S
        for name, recorder in stopping.items():
            left_s = max(deadline - time.monotonic(), 0.01)
            if not await asyncio.to_thread(recorder.join, left_s):
                log.warning(
                    "the camera does not respond; its run ends when it does, or at the next start",
                    extra={"camera": name},
                )
        if reason:
            for name in names:
                del self._recorders[name]
                del self._key_of[name]

    def _new_recorder(
        self, name: str, camera: CameraConfig, config: EdgeConfig, frame_sink: FrameSink | None
    ) -> Recorder:
        recording = RecordingContext(
            camera=name,
            edge=config.edge,
            stream=camera.stream,
            limits=FragmentLimits(target_ms=int(config.fragment_s * 1_000)),
            sink=self._sink,
            frame_sink=frame_sink,
            now_ms=self._clock.now_ms,
            clock=self._clock,
            gop=GopCache(bytes_per_feed(len(config.cameras))),
        )
        return Recorder(camera, recording, config.no_data_s, opener=self._reader_choice.open)


def _recorder_key(camera: CameraConfig, config: EdgeConfig) -> object:
    """Return what a recorder depends on, to be compared."""
    fields = CameraConfig.model_fields
    defaults = {
        name: fields[name].get_default(call_default_factory=True) for name in _NOT_USED_BY_RECORDER
    }
    return camera.model_copy(update=defaults), config.fragment_s, config.no_data_s
