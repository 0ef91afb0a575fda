"""The worker: the process that decodes and looks. It ends when the recording process does."""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from pydantic import TypeAdapter

from domain.errors import MediaError, ModelError
from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.inference.camera_pipeline import CameraPipeline, SampledFrame
from edge_bridge.inference.decode import EncodedPacket
from edge_bridge.inference.decode_pool import DecodePool
from edge_bridge.inference.detectors import build
from edge_bridge.inference.ipc import Header, PeerClosedError, WorkerChannel
from edge_bridge.inference.model_runner import BatchRunner
from edge_bridge.inference.outcome_counts import OutcomeCounts
from edge_bridge.inference.rate_control import RateController
from edge_bridge.inference.report import CameraReport
from vision.detector import DetectedObject, Detector

log = logging.getLogger(__name__)

EXIT_MODEL = 3
_BEAT_S = 1.0
_IDLE_S = 0.5
_START_S = 60.0
_FINISH_S = 5.0

Privacy = Mapping[str, Sequence[Mask]]
"""Camera (whole id) -> what nobody may look at."""
_PRIVACY: TypeAdapter[dict[str, list[Mask]]] = TypeAdapter(dict[str, list[Mask]])


class InferenceWorker:
    """Serves one recording process until it is gone."""

    def __init__(
        self, channel: WorkerChannel, config: InferenceConfig, privacy: Privacy, detector: Detector
    ) -> None:
        self._channel, self._config, self._privacy = channel, config, privacy
        self._size = detector.useful_size
        # Pictures are small here: more threads for one of them would only take from the model's.
        cv2.setNumThreads(config.threads)
        self.crew = DecodePool(config.decode_threads)
        self.pace = RateController(config.rate, self.crew.threads)
        self._tally = OutcomeCounts()
        self._eyes: dict[str, CameraPipeline] = {}
        self._reports: dict[str, CameraReport] = {}
        self._failed: set[tuple[str, str]] = set()
        self.runner = BatchRunner(
            detector,
            self._tell,
            self._tally,
            batch=config.batch,
            batch_s=config.batch_ms / 1_000,
        )
        self._beat_s = time.monotonic()

    def serve(self) -> None:
        """Work until no more comes, then tell what was found; raises ModelError if it fails."""
        try:
            while self.runner.fault is None and self.crew.fault is None:
                message = self._channel.receive(_IDLE_S)
                if message is not None:
                    self.crew.give(message[0]["camera"], partial(self._take, *message))
                now_s = time.monotonic()
                # Silence says that the model hangs.
                if now_s - self._beat_s >= _BEAT_S and self.runner.stuck_s < _BEAT_S:
                    self._beat(now_s)
        except PeerClosedError:
            self.crew.finish(_FINISH_S)
            self.runner.finish(_FINISH_S)
        fault = self.runner.fault or self.crew.fault
        if fault is not None:
            raise fault

    def eye(self, camera: str) -> CameraPipeline:
        """Return the eye of a camera, given its whole id."""
        eye = self._eyes.get(camera)
        if eye is None:
            hidden = self._privacy.get(camera, ())
            eye = CameraPipeline(camera, self._config, hidden, self._tally, self._size)
            self._eyes[camera] = eye
        return eye

    def taken(self) -> dict[str, dict[str, int]]:
        """Return what became of each camera's sampled pictures since the last call."""
        return self._tally.take()

    def _take(self, header: Header, body: bytes) -> None:
        """Decode a packet and offer its pictures; in the camera's own thread."""
        camera = header["camera"]
        now_s = time.monotonic()
        self.pace.arrived(camera, now_s - header["offered_s"])
        eye = self.eye(camera)
        split = header["extradata"]
        packet = EncodedPacket(
            header["run"],
            body[split:],
            header["pts"],
            header["at_ms"],
            header["keyframe"],
            header["codec"],
            body[:split],
            header["fresh"],
        )
        before_s = eye.preparing_s
        try:
            for sample in eye.take(packet, self.pace):
                self.runner.offer(sample)
        except MediaError as error:
            if (camera, packet.codec) not in self._failed:
                self._failed.add((camera, packet.codec))
                log.error("%s", error)
            self._tally.add(camera, "broken")
        preparing_s = eye.preparing_s - before_s
        self.pace.spent(decoding_s=time.monotonic() - now_s - preparing_s)

    def _tell(self, samples: list[SampledFrame], found: list[list[DetectedObject]]) -> None:
        """Send what was found; called by the model's thread."""
        frames: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for sample, objects in zip(samples, found, strict=True):
            self._tally.add(sample.camera, "looked")
            report = self._reports.get(sample.camera)
            if report is None:
                report = self._reports[sample.camera] = CameraReport(
                    self._config.tracking, self._config.stationary
                )
            frame = report.frame(sample, objects)
            if frame is not None:
                frames[sample.camera, sample.run].append(frame)
        for (camera, run), several in frames.items():
            self._channel.send({"type": "frames", "camera": camera, "run": run, "frames": several})

    def _beat(self, now_s: float) -> None:
        self.pace.spent(looking_s=self.runner.spent_s())
        self.pace.adjust(now_s - self._beat_s)
        self._beat_s = now_s
        self._channel.send(
            {
                "type": "beat",
                "rate_fps": self.pace.rate_fps,
                "lag_s": max(self.pace.lag_s, self.runner.lag_s),
                "memory_mib": _memory_mib(),
                "outcomes": self.taken(),
            }
        )


def _memory_mib() -> int:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def serve(channel: WorkerChannel) -> int:
    """Take the configuration from the channel, load the model and work; returns an exit code."""
    first = channel.receive(_START_S)
    if first is None:
        return 1
    config = InferenceConfig.model_validate(first[0]["config"])
    privacy = _PRIVACY.validate_python(first[0]["privacy"])
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
        InferenceWorker(channel, config, privacy, detector).serve()
    except ModelError as error:
        channel.send({"type": "fatal", "message": str(error)})
        return EXIT_MODEL
    return 0
