"""What a model found."""

from typing import Annotated, Literal

from pydantic import Field

from domain.events.base import Event, EventPart, Ms, Pts, Slug
from domain.identity import CameraId, RunId

Fraction = Annotated[float, Field(ge=0, le=1)]


class FoundObject(EventPart):
    """One object in one picture; its index in the list is the detection's index."""

    label: str = Field(min_length=1, max_length=100, description="what it is, in the model's words")
    score: Fraction = Field(description="confidence of the model, 1 is certain")
    box: tuple[Fraction, Fraction, Fraction, Fraction] = Field(
        description="x, y, width, height as fractions of the picture, from its top left"
    )
    track: str | None = Field(None, max_length=64, description="links detections of one object")


class DetectionFrame(EventPart):
    """The objects found in one picture; an empty list: analysed, nothing found."""

    pts: Pts = Field(description="presentation time of the picture in its run")
    at_ms: Ms = Field(description="when the picture was taken, on the run's clock")
    objects: list[FoundObject] = Field(
        max_length=1_000,
        description="what was found, without objects that have not moved for long and were "
        "reported recently; a detection's index is its position here",
    )


class Detection(Event):
    """A batch of pictures of one run that one model has analysed."""

    type: Literal["detection"] = "detection"
    camera: CameraId
    run: RunId
    model: Slug = Field(description="name of the model")
    model_version: Slug = Field(description="version of the model")
    frames: list[DetectionFrame] = Field(
        min_length=1, max_length=200, description="the analysed pictures"
    )
    replay: int | None = Field(
        None,
        ge=1,
        lt=1 << 62,
        description="number of the replay that analysed them again; absent: live",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera
