"""The `inference` section: the model, the motion gate, tracking, the GPU."""

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from edge_bridge.config.section import ConfigSection

HOG = "hog"
_MAX_DECODE_THREADS = 4

Corner = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]


def _has_area(corners: list[Corner]) -> list[Corner]:
    following = [*corners[1:], *corners[:1]]
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, following, strict=True))
    if abs(twice) < 1e-6:
        raise ValueError(
            "a mask must have an area: its corners are on one line, or its sides cross"
        )
    return corners


Mask = Annotated[list[Corner], Field(min_length=3, max_length=200), AfterValidator(_has_area)]
"""A polygon: corners as fractions of the frame, from its top left."""


class MotionConfig(ConfigSection):
    """The motion gate: which frames the detector analyses."""

    enabled: bool = Field(True, description="false: analyse every sampled frame")
    start: float = Field(0.002, gt=0, le=1, description="share of the frame that opens the gate")
    stop: float = Field(0.001, gt=0, le=1, description="share below which the gate may close")
    hold_ms: int = Field(
        2_000, ge=0, le=600_000, description="how long it stays open after the motion"
    )
    warmup_ms: int = Field(
        3_000, ge=0, le=600_000, description="open while the background is learned"
    )
    still_every_ms: int = Field(
        5_000, ge=0, le=3_600_000, description="analyse this often without motion; 0: never"
    )
    masks: dict[str, list[Mask]] = Field(
        default_factory=dict,
        description="camera (its id, short or full) -> polygons, as fractions of the frame, "
        "where motion is ignored",
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.stop > self.start:
            raise ValueError("motion.stop must not be above motion.start")
        return self

    def masks_of(self, camera: str) -> list[Mask]:
        """Return the masks of a camera, given its full id."""
        return self.masks.get(camera) or self.masks.get(camera.rsplit("/", 1)[-1], [])


class TrackingConfig(ConfigSection):
    """Which boxes of successive frames are the same object."""

    enabled: bool = Field(True, description="false: detections carry no track")
    sure_score: float = Field(0.5, ge=0, le=1, description="minimum score that starts a track")
    lost_ms: int = Field(
        3_000, ge=0, le=60_000, description="how long a track lives after its object was last seen"
    )


class StationaryConfig(ConfigSection):
    """How often an object that does not move is reported; needs tracking."""

    enabled: bool = Field(True, description="false: report it in every frame")
    after_ms: int = Field(
        60_000,
        ge=0,
        le=86_400_000,
        description="reported like any other object until it has rested this long",
    )
    every_ms: int = Field(
        30_000, ge=0, le=86_400_000, description="then this often; 0: not until it moves again"
    )


class GpuConfig(ConfigSection):
    """Settings of CUDA and TensorRT."""

    device: int = Field(0, ge=0, le=63, description="number of the GPU")
    memory_mib: int | None = Field(
        None, ge=64, le=1 << 20, description="maximum GPU memory of the model; absent: no limit"
    )
    half: bool = Field(
        False,
        description="true: TensorRT may compute in 16 bits; then change the version in the card",
    )
    engine_cache: Path | None = Field(
        None,
        description="folder of TensorRT's engines; absent: `engines` in the spool's folder",
    )


class InferenceConfig(ConfigSection):
    """Which model analyses the cameras, how often, and on which hardware."""

    enabled: bool = Field(True, description="false: record only")
    model: str = Field(
        HOG, min_length=1, description="hog (built-in people detector), or the path of a model card"
    )
    providers: list[str] = Field(
        ["cpu"], min_length=1, description="execution providers, best first: tensorrt, cuda, cpu"
    )
    fallback: bool = Field(False, description="true: use the next provider if one is not available")
    gpu: GpuConfig = Field(default_factory=GpuConfig)
    rate_fps: float | None = Field(
        None, gt=0, le=60, description="frames per second of each camera; default 5, hog 2"
    )
    keyframes_only: bool = Field(
        False, description="true: decode only keyframes, which costs little; limits the rate"
    )
    batch: int = Field(8, ge=1, le=256, description="maximum frames, of all cameras, in one batch")
    batch_ms: int = Field(
        20, ge=0, le=1_000, description="how long a frame waits for others to fill the batch"
    )
    motion: MotionConfig = Field(default_factory=MotionConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    stationary: StationaryConfig = Field(default_factory=StationaryConfig)
    threads: int = Field(1, ge=1, le=64, description="threads of the model")
    eyes: int | None = Field(
        None, ge=1, le=64, description="threads that decode; absent: cores minus one, 1 to 4"
    )
    nice: int = Field(5, ge=0, le=19, description="lowers the worker's priority below recording")
    max_queue: int = Field(
        120, ge=8, le=10_000, description="packets of one camera that may wait for the worker"
    )
    hang_s: float = Field(
        20,
        ge=1,
        le=600,
        description="seconds without a response after which the worker is restarted",
    )
    start_s: float = Field(300, ge=1, le=3_600, description="seconds that the model has to load")
    watch_s: float = Field(
        5,
        ge=0,
        le=3_600,
        description="how often to check the model's files for changes, seconds; 0: never",
    )
    recycle_mib: int | None = Field(
        3_072, ge=64, le=1 << 20, description="memory at which another worker takes over"
    )
    recycle_h: float | None = Field(
        None, gt=0, le=8_784, description="age at which another worker takes over; absent: never"
    )

    @property
    def decode_threads(self) -> int:
        """Threads that decode: at least one core is left for the model."""
        return self.eyes or min(_MAX_DECODE_THREADS, max(1, len(os.sched_getaffinity(0)) - 1))

    @property
    def rate(self) -> float:
        """Frames per second of each camera."""
        return self.rate_fps or (2.0 if self.model == HOG else 5.0)

    def rooted(self, folder: Path, spool: Path) -> "InferenceConfig":
        """Return a copy with absolute paths: relative to `folder`; engines default to `spool`."""
        cache = self.gpu.engine_cache
        at = folder / cache if cache else spool / "engines"
        model = self.model if self.model == HOG else str(folder / self.model)
        gpu = self.gpu.model_copy(update={"engine_cache": at})
        return self.model_copy(update={"model": model, "gpu": gpu})
