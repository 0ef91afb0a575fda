"""All cameras of the edge: started, told apart by what changed, stopped."""

import asyncio
import logging
import time
from collections.abc import Collection

from domain.events import CameraStatus, Detection
from edge_bridge import metrics
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import FrameSink, RecordingContext, RecordingSink
from edge_bridge.clock import EdgeClock
from edge_bridge.config import CameraConfig, EdgeConfig
from edge_bridge.config.inference import Mask
from media.fragmenter import FragmentLimits

log = logging.getLogger(__name__)

_JOIN_S = 4.0
"""How long a camera's thread may take to close its last fragment."""
CHANGED = "configuration changed"
_NOT_RECORDED_BY = ("priority", "privacy_masks", "sub_url")
"""What of a camera's configuration its recorder does not use."""


class RecorderManager:
    """Owns the recorders. Its methods are called in the event loop."""

    def __init__(self, sink: RecordingSink, clock: EdgeClock) -> None:
        self._sink = sink
        self._clock = clock
        self._recorders: dict[str, Recorder] = {}
        self._by: dict[str, object] = {}
        """Camera -> what its recorder records by; another value needs another recorder."""
        self._privacy: dict[str, list[Mask]] = {}

    @property
    def ids(self) -> Collection[str]:
        """The cameras' whole ids, as they are now."""
        return self._recorders.keys()

    @property
    def statuses(self) -> list[CameraStatus]:
        """How each camera fares."""
        return [recorder.status for recorder in self._recorders.values()]

    def masks_of(self, camera: str) -> list[Mask]:
        """Return what nobody may look at, of a camera by its whole id."""
        return self._privacy.get(camera, [])

    async def apply(self, config: EdgeConfig, frame_sink: FrameSink | None) -> None:
        """Record these cameras; whose configuration is as before go on untouched."""
        self._privacy = config.privacy()
        wanted = {config.camera_id(camera): camera for camera in config.cameras}
        by = {name: _recorded_by(camera, config) for name, camera in wanted.items()}
        ending = [name for name in self._recorders if self._by[name] != by.get(name)]
        await self._end(ending, CHANGED)
        for name in ending:
            if name not in wanted:
                metrics.RECORDING.remove(name)
                metrics.look_at(name, None)
        for name, recorder in self._recorders.items():
            recorder.set_frame_sink(frame_sink, wanted[name].sub_url)
        for name, camera in wanted.items():
            if name not in self._recorders:
                recorder = self._recorder(name, camera, config, frame_sink)
                self._recorders[name], self._by[name] = recorder, by[name]
                recorder.start()

    async def stop(self) -> None:
        """End all runs."""
        await self._end(list(self._recorders))

    def restamped(self, detection: Detection) -> Detection:
        """Give pictures the UTC of their run's clock as it stands now: the first ones were
        looked at before the run's least-delayed picture was known.
        """
        recorder = self._recorders.get(detection.camera)
        if recorder is None:
            return detection
        frames = []
        for frame in detection.frames:
            at_ms = recorder.utc_ms(detection.run, frame.pts)
            frames.append(frame if at_ms is None else frame.model_copy(update={"at_ms": at_ms}))
        return detection.model_copy(update={"frames": frames})

    async def _end(self, names: list[str], why: str | None = None) -> None:
        ending = {name: self._recorders[name] for name in names}
        for recorder in ending.values():
            recorder.stop(why) if why else recorder.stop()
        deadline = time.monotonic() + _JOIN_S
        for name, recorder in ending.items():
            left_s = max(deadline - time.monotonic(), 0.01)
            if not await asyncio.to_thread(recorder.join, left_s):
                log.warning(
                    "the camera says nothing; its run is ended as soon as it does, or at the next "
                    "start",
                    extra={"camera": name},
                )
        if why:
            for name in names:
                del self._recorders[name], self._by[name]

    def _recorder(
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
        )
        return Recorder(camera, recording, config.no_data_s)


def _recorded_by(camera: CameraConfig, config: EdgeConfig) -> object:
    used = camera.model_copy(
        update={name: CameraConfig.model_fields[name].get_default(call_default_factory=True)
                for name in _NOT_RECORDED_BY}
    )  # fmt: skip
    return used, config.fragment_s, config.no_data_s
