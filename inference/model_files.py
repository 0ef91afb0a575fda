"""Which models an engine has: an ONNX file with a name and a version each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vision.card import ModelCard


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One ONNX file."""

    name: str
    version: str
    path: Path
    sample_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Lengths for the dimensions of an input that the file leaves free, without the batch."""


def model_file(card: ModelCard) -> ModelFile:
    """Return the file of a detector's card."""
    spec = card.input
    shape = (3, spec.height, spec.width)
    if spec.layout == "NHWC":
        shape = (spec.height, spec.width, 3)
    return ModelFile(
        card.name, card.version, card.path, {spec.name: shape} if spec.name else {"": shape}
    )
