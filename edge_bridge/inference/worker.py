"""The worker: the process that decodes and detects. It ends when the recording process does."""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import cv2
from pydantic import TypeAdapter

from domain.errors import MediaError, ModelError
from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.inference.camera_pipeline import CameraPipeline, SampledFrame
from edge_bridge.inference.camera_report import CameraReport
from edge_bridge.inference.decode import EncodedPacket
from edge_bridge.inference.decode_pool import DecodePool
from edge_bridge.inference.detectors import load_configured
from edge_bridge.inference.model_runner import BatchRunner
from edge_bridge.inference.outcome_counts import OutcomeCounts
from edge_bridge.inference.rate_control import RateController
from stores.ipc import Header, PeerClosedError, WorkerChannel
from stores.resident_memory import resident_mib
from vision.detector import DetectedObject, Detector

log = logging.getLogger(__name__)

EXIT_MODEL = 3
_HEARTBEAT_S = 1.0
_IDLE_S = 0.5
_CONFIG_TIMEOUT_S = 60.0
_FINISH_S = 5.0

Privacy = Mapping[str, Sequence[Mask]]
"""Camera (full id) -> places that must not be seen."""
_PRIVACY: TypeAdapter[dict[str, list[Mask]]] = TypeAdapter(dict[str, list[Mask]])


class InferenceWorker:
    """Serves one recording process until that ends."""

    def __init__(
        self, channel: WorkerChannel, config: InferenceConfig, privacy: Privacy, detector: Detector
    ) -> None:
        self._channel = channel
        self._config = config
        self._privacy = privacy
        self._input_size = detector.input_size
        # Images are small here: more threads for one of them would only slow down the model.
        cv2.setNumThreads(config.threads)
        self.decode_pool = DecodePool(config.decode_threads)
        self.rate = RateController(config.rate, self.decode_pool.threads)
        self._outcomes = OutcomeCounts()
        self._pipelines: dict[str, CameraPipeline] = {}
        self._reports: dict[str, CameraReport] = {}
        self._logged: set[tuple[str, str]] = set()
        """Camera and codec of errors that were logged already."""
        self.runner = BatchRunner(
            detector,
            self._report,
            self._outcomes,
            batch=config.batch,
            batch_s=config.batch_ms / 1_000,
        )
        self._heartbeat_s = time.monotonic()

    def serve(self) -> None:
        """Work until no more packets come, then report what is left; raises ModelError."""
        try:
            while self.runner.error is None and self.decode_pool.error is None:
                message = self._channel.receive(_IDLE_S)
                if message is not None:
                    self.decode_pool.submit(message[0]["camera"], partial(self._process, *message))
                now_s = time.monotonic()
                # While the model hangs, send no heartbeat: then this process is restarted.
                if now_s - self._heartbeat_s >= _HEARTBEAT_S and self.runner.busy_s < _HEARTBEAT_S:
                    self._send_heartbeat(now_s)
        except PeerClosedError:
            self.decode_pool.finish(_FINISH_S)
            self.runner.finish(_FINISH_S)
        error = self.runner.error or self.decode_pool.error
        if error is not None:
            raise error

    def pipeline(self, camera: str) -> CameraPipeline:
        """Return the pipeline of a camera, given its full id."""
        pipeline = self._pipelines.get(camera)
        if pipeline is None:
            masks = self._privacy.get(camera, ())
            pipeline = CameraPipeline(camera, self._config, masks, self._outcomes, self._input_size)
            self._pipelines[camera] = pipeline
        return pipeline

    def take_outcomes(self) -> dict[str, dict[str, int]]:
        """Return what happened to each camera's sampled frames since the last call."""
        return self._outcomes.take()

    def _process(self, header: Header, body: bytes) -> None:
        """Decode a packet and offer its frames to the model; in the camera's own thread."""
        camera = header["camera"]
        now_s = time.monotonic()
        self.rate.packet_arrived(camera, now_s - header["offered_s"])
        pipeline = self.pipeline(camera)
        split = header["extradata"]
        packet = EncodedPacket(
            header["run"],
            body[split:],
            header["pts"],
            header["at_ms"],
            header["keyframe"],
            header["codec"],
            body[:split],
            header["discontinuity"],
        )
        before_s = pipeline.preparing_s
        try:
            for sample in pipeline.process(packet, self.rate):
                self.runner.offer(sample)
        except MediaError as error:
            if (camera, packet.codec) not in self._logged:
                self._logged.add((camera, packet.codec))
                log.error("%s", error)
            self._outcomes.add(camera, "broken")
        preparing_s = pipeline.preparing_s - before_s
        self.rate.spent(decoding_s=time.monotonic() - now_s - preparing_s)

    def _report(self, samples: list[SampledFrame], found: list[list[DetectedObject]]) -> None:
        """Send the objects of a batch; the postprocessing thread calls it."""
        frames: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for sample, objects in zip(samples, found, strict=True):
            self._outcomes.add(sample.camera, "looked")
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

    def _send_heartbeat(self, now_s: float) -> None:
        self.rate.spent(inference_s=self.runner.spent_s())
        self.rate.adjust(now_s - self._heartbeat_s)
        self._heartbeat_s = now_s
        self._channel.send(
            {
                "type": "heartbeat",
                "rate_fps": self.rate.rate_fps,
                "lag_s": max(self.rate.lag_s, self.runner.lag_s),
                "memory_mib": resident_mib(),
                "outcomes": self.take_outcomes(),
            }
        )


def serve(channel: WorkerChannel) -> int:
    """Receive the configuration, load the model and work; return an exit code."""
    first = channel.receive(_CONFIG_TIMEOUT_S)
    if first is None:
        return 1
    config = InferenceConfig.model_validate(first[0]["config"])
    privacy = _PRIVACY.validate_python(first[0]["privacy"])
    try:
        detector = load_configured(config)
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
