"""What a model saw."""

from typing import Annotated, Literal

from pydantic import Field

from domain.events.base import Event, Ms, Part, Pts, Slug
from domain.identity import CameraId, RunId

Fraction = Annotated[float, Field(ge=0, le=1)]


class FoundObject(Part):
    """One object in one picture; its place in the list is the detection's index."""

    label: str = Field(min_length=1, max_length=100, description="what it is, in the model's words")
    score: Fraction = Field(description="how sure the model is, 1 being certain")
    box: tuple[Fraction, Fraction, Fraction, Fraction] = Field(
        description="x, y, width, height as fractions of the picture, from its top left"
    )
    track: str | None = Field(None, max_length=64, description="links detections of one object")


class DetectionFrame(Part):
    """The objects found in one picture; an empty list says: looked, nothing there."""

    pts: Pts = Field(description="presentation time of the picture in its run")
    at_ms: Ms = Field(description="when the picture was taken, on the run's clock")
    objects: list[FoundObject] = Field(
        max_length=1_000,
        description="what was found, without what has long stood still and was told not long "
        "before; a detection's index is its place here",
    )


class Detection(Event):
    """A batch of pictures of one run that one model looked at."""

    type: Literal["detection"] = "detection"
    camera: CameraId
    run: RunId
    model: Slug = Field(description="name of the model")
    model_version: Slug = Field(description="version of the model")
    frames: list[DetectionFrame] = Field(
        min_length=1, max_length=200, description="the pictures looked at"
    )
    replay: int | None = Field(
        None,
        ge=1,
        lt=1 << 62,
        description="number of the replay that looked again; absent: seen as it was recorded",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera
