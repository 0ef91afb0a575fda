"""The model card: a YAML file next to a model. It describes the model's input and output.

docs/how-to/models.md shows one card for each layout.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from domain.errors import ModelError
from domain.events.base import Slug

CARD_SUFFIXES = (".yaml", ".yml")
"""How the name of a card's file ends."""
MAX_CARD_BYTES = 1 << 20
Triple = tuple[float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSpec(_Strict):
    """How a picture is converted to the model's input."""

    name: str | None = Field(None, description="input's name; needed only where there are several")
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    width: int = Field(ge=8, le=8192, description="pixels")
    height: int = Field(ge=8, le=8192, description="pixels")
    colour: Literal["BGR", "RGB"] = "RGB"
    scale: float = Field(1.0, gt=0, description="each 0..255 value is multiplied by it, first")
    mean: Triple = Field((0.0, 0.0, 0.0), description="then subtracted, in the order of `colour`")
    std: Triple = Field((1.0, 1.0, 1.0), description="then divided by, in the order of `colour`")
    resize: Literal["letterbox", "stretch"] = "letterbox"
    align: Literal["centre", "top-left"] = Field("centre", description="place in the letterbox")
    fill: int = Field(114, ge=0, le=255, description="value of the letterbox's bars")
    dtype: Literal["float32", "float16", "uint8"] = "float32"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(part == 0 for part in self.std):
            raise ValueError("std must not contain a zero")
        unscaled = self.scale == 1 and self.mean == (0, 0, 0) and self.std == (1, 1, 1)
        if self.dtype == "uint8" and not unscaled:
            raise ValueError("a uint8 input has no scale, mean or std: remove them")
        return self


class FastestDetOutput(_Strict):
    """[N, 5 + classes, rows, columns]: objectness, dx, dy, w, h, class scores."""

    layout: Literal["fastestdet"]
    name: str | None = Field(None, description="output's name; default: the first")


class YoloxOutput(_Strict):
    """[N, cells, 5 + classes]: box centre and size, objectness, class scores."""

    layout: Literal["yolox"]
    name: str | None = Field(None, description="output's name; default: the first")
    decoded: bool = Field(False, description="true: boxes are already in pixels of the input")
    strides: tuple[int, ...] = Field((8, 16, 32), min_length=1, description="of the grids")

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if any(stride < 1 for stride in self.strides):
            raise ValueError("strides must be 1 or more")
        return self


class Yolov8Output(_Strict):
    """[N, 4 + classes, cells]: box centre and size, class scores."""

    layout: Literal["yolov8"]
    name: str | None = Field(None, description="output's name; default: the first")
    transposed: bool = Field(False, description="true: [N, cells, 4 + classes]")
    units: Literal["pixels", "fractions"] = Field("pixels", description="of the input")


class DetrOutput(_Strict):
    """A set of boxes that needs no suppression."""

    layout: Literal["detr"]
    form: Literal["sized", "raw"] = Field(
        "sized", description="sized: labels, boxes, scores; raw: logits, boxes as fractions"
    )
    labels: str = "labels"
    boxes: str = Field("", description="default: boxes, or pred_boxes when raw")
    scores: str = "scores"
    logits: str = "logits"
    sizes: str = Field("orig_target_sizes", description="sized: name of the input of sizes")
    sizes_order: Literal["wh", "hw"] = "wh"
    activation: Literal["sigmoid", "softmax"] = Field(
        "sigmoid", description="raw; softmax: the last class means no object"
    )
    top: int = Field(300, ge=1, le=10_000, description="raw: most objects of one picture")

    @property
    def boxes_name(self) -> str:
        """Name of the output of boxes."""
        return self.boxes or ("boxes" if self.form == "sized" else "pred_boxes")


class NmsOutput(_Strict):
    """An end-to-end model: non-maximum suppression is part of it."""

    layout: Literal["nms"]
    form: Literal["rows", "four", "flat"] = Field(
        "rows",
        description="rows: [N, max, 6]; four: count, boxes, scores, classes; flat: [M, 7]",
    )
    name: str | None = Field(None, description="rows, flat: output's name; default: the first")
    columns: tuple[str, ...] = Field(
        (), description="rows, flat: order of the columns; default as the how-to says"
    )
    count: str = "num_dets"
    boxes: str = "det_boxes"
    scores: str = "det_scores"
    classes: str = "det_classes"
    units: Literal["pixels", "fractions"] = Field("pixels", description="of the input")
    corners: Literal["xyxy", "yxyx"] = Field("xyxy", description="four: order of a box's corners")

    @property
    def order(self) -> tuple[str, ...]:
        """Columns of one row."""
        if self.columns:
            return self.columns
        if self.form == "flat":
            return ("batch", "x1", "y1", "x2", "y2", "label", "score")
        return ("x1", "y1", "x2", "y2", "score", "label")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wanted = {"x1", "y1", "x2", "y2", "score", "label"}
        wanted |= {"batch"} if self.form == "flat" else set()
        if len(self.order) != len(wanted) or set(self.order) != wanted:
            raise ValueError(f"columns must be an order of {sorted(wanted)}")
        return self


OutputSpec = Annotated[
    FastestDetOutput | YoloxOutput | Yolov8Output | DetrOutput | NmsOutput,
    Field(discriminator="layout"),
]


class Thresholds(_Strict):
    """Which objects are reported."""

    score: float = Field(0.4, ge=0, le=1, description="least score")
    iou: float = Field(
        0.5, ge=0, le=1, description="boxes of one label that overlap more are one object"
    )


class ModelCard(_Strict):
    """One model file, and all that its use needs."""

    name: Slug = Field(description="the model's name; each detection has it")
    version: Slug = Field(
        description="part of a detection's key: give other weights or thresholds another version"
    )
    file: str = Field(min_length=1, description="the ONNX file, relative to the card")
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of that file, hex; another file is refused",
    )
    input: InputSpec
    output: OutputSpec
    labels: list[str] | str = Field(
        description="names of the classes in order, or a text file of one name a line"
    )
    keep: list[str] = Field(default_factory=list, description="only these labels; empty: all")
    thresholds: Thresholds = Thresholds()

    _folder: Path = PrivateAttr(default=Path())
    _names: tuple[str, ...] = PrivateAttr(default=())

    @property
    def path(self) -> Path:
        """Where the model file is."""
        return self._folder / self.file

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in order."""
        return self._names

    def with_score(self, score: float) -> "ModelCard":
        """Return this card with another least score."""
        card = self.model_copy(
            update={"thresholds": self.thresholds.model_copy(update={"score": score})}
        )
        card._folder = self._folder
        card._names = self._names
        return card

    @classmethod
    def load(cls, path: Path) -> "ModelCard":
        """Read a card and its labels; raises ModelError with the file, the key and the problem."""
        found = _read_yaml(path)
        try:
            card = cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "card"
            raise ModelError(f"Model card {path}: {where}: {first['msg']}.") from error
        card._folder = path.parent
        card._names = _names(card.labels, path)
        unknown = [label for label in card.keep if label not in card._names]
        if unknown:
            raise ModelError(f"Model card {path}: keep: {unknown[0]!r} is not one of the labels.")
        if card.sha256 is not None:
            _check_hash(card.path, card.sha256)
        return card


def _check_hash(file: Path, expected: str) -> None:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"Model file {file} cannot be read: {error.strerror}.") from error
    if found != expected:
        raise ModelError(
            f"Model file {file} has the SHA-256 {found}, its card says {expected}. Copy the right "
            "file, or correct the card."
        )


def _read_yaml(path: Path) -> object:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ModelError(f"Model card {path} is over 1 MiB. Is it the model file itself?")
        found: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"Model card {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise ModelError(f"Model card {path} is not a YAML file: {what}.") from error
    if not isinstance(found, dict):
        raise ModelError(f"Model card {path} must be a mapping of keys, as the how-to shows.")
    return found


def _names(labels: list[str] | str, path: Path) -> tuple[str, ...]:
    if isinstance(labels, str):
        file = path.parent / labels
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"Model card {path}: labels: {file} cannot be read as text: {error}."
            ) from error
        labels = [line.strip() for line in lines if line.strip()]
    if not labels:
        raise ModelError(f"Model card {path}: labels: at least one name is needed.")
    wrong = [label for label in labels if not 1 <= len(label.strip()) <= 100]
    if wrong:
        raise ModelError(f"Model card {path}: labels: a name has 1 to 100 characters.")
    return tuple(label.strip() for label in labels)
