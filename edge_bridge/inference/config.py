"""The `inference` part of the edge's configuration."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HOG = "hog"

Corner = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
Mask = Annotated[list[Corner], Field(min_length=3, max_length=200)]


class MotionConfig(BaseModel):
    """When a picture is worth looking at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="false: look at every sampled picture")
    start: float = Field(0.002, gt=0, le=1, description="share of the picture that opens the gate")
    stop: float = Field(0.001, gt=0, le=1, description="share below which the gate may shut")
    hold_ms: int = Field(2_000, ge=0, le=600_000, description="how long it stays open after that")
    warmup_ms: int = Field(
        3_000, ge=0, le=600_000, description="open while the background is learnt"
    )
    still_every_ms: int = Field(
        5_000, ge=0, le=3_600_000, description="look this often without motion; 0: never"
    )
    masks: dict[str, list[Mask]] = Field(
        default_factory=dict,
        description="camera (its id, short or whole) -> polygons, as fractions of the picture, "
        "where motion is ignored",
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.stop > self.start:
            raise ValueError("motion.stop must not be above motion.start")
        return self

    def masks_of(self, camera: str) -> list[Mask]:
        """Return the masks of a camera, given its whole id."""
        return self.masks.get(camera) or self.masks.get(camera.rsplit("/", 1)[-1], [])


class InferenceConfig(BaseModel):
    """Which model looks at the cameras, how often, and on what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="false: record only")
    model: str = Field(
        HOG, min_length=1, description="hog (built-in people detector), or the path of a model card"
    )
    providers: list[str] = Field(
        ["cpu"], min_length=1, description="execution providers, best first: tensorrt, cuda, cpu"
    )
    fallback: bool = Field(False, description="true: the next best provider will do")
    rate_fps: float | None = Field(
        None, gt=0, le=60, description="pictures of each camera a second; default 5, hog 2"
    )
    motion: MotionConfig = Field(default_factory=MotionConfig)
    threads: int = Field(1, ge=1, le=64, description="threads of the model")
    nice: int = Field(5, ge=0, le=19, description="lowers the process's priority below recording")
    max_queue: int = Field(
        120, ge=8, le=10_000, description="packets of one camera that may wait for the process"
    )
    hang_s: float = Field(20, ge=1, le=600, description="silence after which it is restarted")
    start_s: float = Field(300, ge=1, le=3_600, description="time the model has for loading")

    @property
    def rate(self) -> float:
        """Pictures of each camera a second."""
        return self.rate_fps or (2.0 if self.model == HOG else 5.0)

    def rooted(self, folder: Path) -> "InferenceConfig":
        """Return a copy whose model card counts from `folder`, where its path is relative."""
        if self.model == HOG:
            return self
        return self.model_copy(update={"model": str(folder / self.model)})
