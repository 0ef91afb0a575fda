"""The worker: the process that decodes and looks. It ends when the recording process does."""

import logging
import time
from collections import defaultdict
from typing import Any

from domain.errors import MediaError, ModelError
from edge_bridge.inference.config import InferenceConfig
from edge_bridge.inference.decode import Encoded
from edge_bridge.inference.detectors import build
from edge_bridge.inference.eye import CameraEye, Sample
from edge_bridge.inference.pace import Pace
from edge_bridge.inference.wire import Channel, Header
from vision.detector import Detector

log = logging.getLogger(__name__)

EXIT_MODEL = 3
_BEAT_S = 1.0
_IDLE_S = 0.5
_START_S = 60.0


class Worker:
    """Serves one recording process until it is gone."""

    def __init__(self, channel: Channel, config: InferenceConfig, detector: Detector) -> None:
        self._channel, self._config, self._detector = channel, config, detector
        self._pace = Pace(config.rate)
        self._eyes: dict[str, CameraEye] = {}
        self._failed: set[tuple[str, str]] = set()
        self._beat_s = time.monotonic()

    def serve(self) -> None:
        """Work until the channel closes (ClosedError); raises ModelError if the model fails."""
        while True:
            samples = self._gather()
            if samples:
                self._look(samples)
            now_s = time.monotonic()
            if now_s - self._beat_s >= _BEAT_S:
                self._beat(now_s)

    def _gather(self) -> list[Sample]:
        """Return the pictures to look at: a batch, or what there is when nothing more waits."""
        samples: list[Sample] = []
        message = self._channel.receive(_IDLE_S)
        until_s = time.monotonic() + _BEAT_S
        while message is not None:
            samples += self._take(*message)
            if len(samples) >= self._detector.batch or time.monotonic() >= until_s:
                break
            message = self._channel.receive(0)
        return samples

    def _take(self, header: Header, body: bytes) -> list[Sample]:
        camera = header["camera"]
        now_s = time.monotonic()
        self._pace.arrived(camera, now_s - header["offered_s"])
        eye = self._eyes.get(camera)
        if eye is None:
            eye = self._eyes[camera] = CameraEye(camera, self._config.motion)
        split = header["extradata"]
        packet = Encoded(
            header["run"],
            body[split:],
            header["pts"],
            header["at_ms"],
            header["keyframe"],
            header["codec"],
            body[:split],
            header["fresh"],
        )
        try:
            return list(eye.take(packet, self._pace))
        except MediaError as error:
            if (camera, packet.codec) not in self._failed:
                self._failed.add((camera, packet.codec))
                log.error("%s", error)
            eye.outcomes["broken"] += 1
            return []
        finally:
            self._pace.spent(decoding_s=time.monotonic() - now_s)

    def _look(self, samples: list[Sample]) -> None:
        frames: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        began_s = time.monotonic()
        found = self._detector.detect([sample.picture for sample in samples])
        self._pace.spent(looking_s=time.monotonic() - began_s)
        for sample, objects in zip(samples, found, strict=True):
            frame = self._eyes[sample.camera].report(sample, objects)
            if frame is not None:
                frames[sample.camera, sample.run].append(frame)
        for (camera, run), several in frames.items():
            self._channel.send({"type": "frames", "camera": camera, "run": run, "frames": several})

    def _beat(self, now_s: float) -> None:
        self._pace.adjust(now_s - self._beat_s)
        self._beat_s = now_s
        counts = {camera: dict(eye.outcomes) for camera, eye in self._eyes.items() if eye.outcomes}
        for eye in self._eyes.values():
            eye.outcomes.clear()
        self._channel.send(
            {
                "type": "beat",
                "rate_fps": self._pace.rate_fps,
                "lag_s": self._pace.lag_s,
                "outcomes": counts,
            }
        )


def serve(channel: Channel) -> int:
    """Take the configuration from the channel, load the model and work; returns an exit code."""
    first = channel.receive(_START_S)
    if first is None:
        return 1
    config = InferenceConfig.model_validate(first[0]["config"])
    try:
        detector = build(config)
        channel.send(
            {
                "type": "ready",
                "model": detector.model,
                "model_version": detector.model_version,
                "provider": detector.provider,
            }
        )
        Worker(channel, config, detector).serve()
    except ModelError as error:
        channel.send({"type": "fatal", "message": str(error)})
        return EXIT_MODEL
    return 0
