"""Local inference against a bare loop of the same model, and what decoding costs.

    path    pictures of all cameras, decoded before, through all that the inference process does
            with them: privacy mask, motion gate, batches, model, boxes, tracks, messages
    bare    ONNX Runtime computing the same batches, prepared before, and nothing else
Both take turns in the same process with the same session; the ratio is the median of the turns.
Decoding is measured apart, one camera at a time: all pictures, keyframes only, the sub stream.
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from domain.errors import VigilError
from edge_bridge.config.inference import GpuConfig, InferenceConfig, Mask
from edge_bridge.inference.decode import CameraDecoder, DecodedFrame
from edge_bridge.inference.detectors import load_configured
from edge_bridge.inference.worker import InferenceWorker
from harness.detector_material import RUN, Reel, encoded, street, write_model
from stores.ipc import WorkerChannel
from vision.detector import BgrImage
from vision.onnx_detector import OnnxDetector

WIDTH, HEIGHT = 1280, 720
PICTURES = 30
"""Different pictures; they are shown over and over."""
MAIN, SUB = (1920, 1080, 4.0), (640, 360, 0.5)
"""Width, height, Mbit/s."""
RATE_FPS = 10
SITE = "bench/site"
_MASK: Mask = [(0.8, 0.0), (1.0, 0.0), (1.0, 0.2), (0.8, 0.2)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--model",
        default=os.environ.get("VIGIL_TEST_MODEL"),
        help="a model card (default: VIGIL_TEST_MODEL, or a small model made for it)",
    )
    parser.add_argument("--cameras", type=int, default=8, help="cameras (default 8)")
    parser.add_argument(
        "--seconds", type=float, default=10, help="seconds of each round (default 10)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each kind (default 3)")
    parser.add_argument(
        "--batch", type=int, default=8, help="largest batch, in pictures (default 8)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the model (default 1)")
    parser.add_argument(
        "--provider", default="cpu", help="execution provider: cpu (default), cuda, tensorrt"
    )
    parser.add_argument("--eyes", type=int, help="threads that decode (default: as the edge)")
    parser.add_argument(
        "--engines", type=Path, help="folder to keep TensorRT's engines (default: a temporary one)"
    )
    parser.add_argument(
        "--decode-seconds",
        type=int,
        default=20,
        help="seconds of footage to decode (default 20); 0: none",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure the path and the bare loop in turns, then decoding."""
    with tempfile.TemporaryDirectory(prefix="vigil-detect-") as scratch:
        card = arguments.model or str(write_model(Path(scratch)))
        config = InferenceConfig(
            model=card,
            providers=[arguments.provider],
            threads=arguments.threads,
            eyes=arguments.eyes,
            batch=arguments.batch,
            rate_fps=RATE_FPS,
            gpu=GpuConfig(engine_cache=(arguments.engines or Path(scratch) / "engines").absolute()),
        )
        began_s = time.perf_counter()
        detector = load_configured(config)
        load_s = time.perf_counter() - began_s
        if not isinstance(detector, OnnxDetector):
            raise VigilError("Only a model card can be compared with a bare loop: give --model.")
        pictures = list(street(WIDTH, HEIGHT, PICTURES))
        path = _Path(config, detector, arguments.cameras, pictures)
        size = min(config.batch, detector.batch)
        call = detector.bare_inference([_bgr(one) for one in pictures[:size]])
        turns: list[tuple[_Turn, _Turn]] = []
        for number in range(arguments.rounds):
            turns.append((path.turn(arguments.seconds), _bare(call, size, arguments.seconds)))
            _say(f"turn {number + 1}: {turns[-1]}")
        dropped = path.close()
    figures = {
        "model": detector.model,
        "provider": detector.provider,
        "load_s": round(load_s, 2),
        "threads": arguments.threads,
        "eyes": config.decode_threads,
        "cameras": arguments.cameras,
        "batch": size,
        "picture": f"{WIDTH}x{HEIGHT}",
        "path_fps": round(statistics.median(one.fps for one, _ in turns), 1),
        "bare_fps": round(statistics.median(one.fps for _, one in turns), 1),
        "of_bare": round(statistics.median(a.fps / b.fps for a, b in turns), 3),
        "path_cpu_ms": round(statistics.median(one.cpu_ms for one, _ in turns), 2),
        "bare_cpu_ms": round(statistics.median(one.cpu_ms for _, one in turns), 2),
        "looked": sum(one.pictures for one, _ in turns),
        "dropped": dropped,
    }
    if arguments.decode_seconds:
        figures["decode_cpu_s_per_camera_minute"] = _decoding(arguments.decode_seconds)
    return figures | {"load": round(os.getloadavg()[0], 1)}


def _bgr(frame: av.VideoFrame) -> BgrImage:
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Turn:
    """What one arm did in one turn."""

    pictures: int
    fps: float
    cpu_ms: float
    """CPU of the whole process for one picture."""


def _timed(work: Callable[[], int]) -> _Turn:
    began_s, cpu_s = time.perf_counter(), time.process_time()
    pictures = work()
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return _Turn(pictures, round(pictures / took_s, 2), round(cpu_s / pictures * 1e3, 3))


def _bare(call: Callable[[], object], size: int, seconds: float) -> _Turn:
    def work() -> int:
        until_s, pictures = time.perf_counter() + seconds, 0
        while time.perf_counter() < until_s:
            call()
            pictures += size
        return pictures

    return _timed(work)


class _Path:
    """The worker without its decoders: pictures go in by its eyes, messages come out."""

    def __init__(
        self,
        config: InferenceConfig,
        detector: OnnxDetector,
        cameras: int,
        pictures: Sequence[av.VideoFrame],
    ) -> None:
        self._cameras = [f"{SITE}/camera-{number}" for number in range(cameras)]
        self._pictures = pictures
        self._ours, self._theirs = socket.socketpair()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        privacy = {camera: [_MASK] for camera in self._cameras}
        self._worker = InferenceWorker(WorkerChannel(self._theirs), config, privacy, detector)
        # One batch is at work, one is prepared and one may wait: enough never to be idle.
        self._room = 2 * min(config.batch, detector.batch)
        self._step = 0
        self._dropped = 0
        self._passed: list[int] = []
        """Pictures of this turn that were not worth analysing."""

    def turn(self, seconds: float) -> _Turn:
        """Show pictures of all cameras, as fast as they are analysed."""
        return _timed(lambda: self._show(time.perf_counter() + seconds))

    def close(self) -> int:
        """End the worker's thread; returns how many pictures were dropped in all turns."""
        self._worker.decode_pool.finish(60)
        self._worker.runner.finish(60)
        self._theirs.close()
        self._reader.join()
        self._ours.close()
        return self._dropped

    def _show(self, until_s: float) -> int:
        pool, runner = self._worker.decode_pool, self._worker.runner
        shown, analysed = 0, 0
        self._passed.clear()
        while time.perf_counter() < until_s:
            for camera in self._cameras:
                pool.submit(camera, partial(self._see, camera, self._decoded()))
                shown += 1
            self._step += 1
        while analysed < shown - len(self._passed):
            if (error := runner.error or pool.error) is not None:
                raise error
            for counts in self._worker.take_outcomes().values():
                self._dropped += counts.get("behind", 0)
                shown -= counts.get("behind", 0)
                analysed += counts.get("looked", 0)
            time.sleep(0.0005)
        return analysed

    def _see(self, camera: str, decoded: DecodedFrame) -> None:
        """Pass a picture to the camera's pipeline, in its thread, once the runner has room."""
        runner = self._worker.runner
        sample = self._worker.pipeline(camera).sample(decoded, self._worker.rate)
        if sample is None:
            self._passed.append(decoded.pts)
            return
        while runner.waiting >= self._room and runner.error is None:
            time.sleep(0.0005)
        runner.offer(sample)

    def _decoded(self) -> DecodedFrame:
        at_ms = self._step * 1_000 // RATE_FPS
        return DecodedFrame(
            RUN, at_ms * 90, at_ms, self._pictures[self._step % len(self._pictures)]
        )

    def _read(self) -> None:
        while self._ours.recv(1 << 20):
            pass


def _decoding(seconds: int) -> dict[str, float]:
    """Return what decoding one camera's minute costs, CPU seconds."""
    main = encoded(*MAIN[:2], seconds=seconds, megabits=MAIN[2])
    sub = encoded(*SUB[:2], seconds=seconds, megabits=SUB[2])
    costs = {
        "all": _decode(main, keyframes_only=False),
        "keyframes": _decode(main, keyframes_only=True),
        "sub_all": _decode(sub, keyframes_only=False),
    }
    return {name: round(cost, 2) for name, cost in costs.items()}


def _decode(reel: Reel, *, keyframes_only: bool) -> float:
    decoder = CameraDecoder(f"{SITE}/camera")
    began_s, pictures = time.process_time(), 0
    for packet in reel.packets:
        if keyframes_only and not packet.keyframe:
            continue
        pictures += len(list(decoder.decode(packet)))
        if keyframes_only:
            pictures += len(list(decoder.flush()))
    pictures += len(list(decoder.flush()))
    cost_s = time.process_time() - began_s
    wanted = sum(packet.keyframe or not keyframes_only for packet in reel.packets)
    if pictures != wanted:
        raise VigilError(f"{pictures} of {wanted} pictures were decoded.")
    return cost_s * 60 / reel.seconds


def main() -> int:
    """Run the bench where nothing but the edge's packages is installed; returns an exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.detect")
    add_arguments(parser)
    try:
        figures = run(parser.parse_args())
    except VigilError as error:
        _say(f"bench detect: {error}")
        return 1
    print(json.dumps({"bench": "detect", **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
