"""Which models an engine has: an ONNX file with a name and a version each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inference.engine import FREE, TensorSpec
from vision.card import ModelCard


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One ONNX file."""

    name: str
    version: str
    path: Path
    sample_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Lengths for the dimensions of an input that the file leaves free, without the batch.

    Under the name "": of the pictures, where the card does not name their input.
    """

    def row_shape(self, spec: TensorSpec, unknown: int) -> tuple[int, ...]:
        """Return the shape of one row of an input; `unknown`: for lengths that no one knows."""
        given = self.sample_shapes.get(spec.name, self.sample_shapes.get("", ()))
        wanted = spec.shape[1:]
        if len(given) != len(wanted):
            given = (unknown,) * len(wanted)
        return tuple(g if w == FREE else w for g, w in zip(given, wanted, strict=True))


def model_file(card: ModelCard) -> ModelFile:
    """Return the file of a detector's card."""
    spec = card.input
    shape = (3, spec.height, spec.width)
    if spec.layout == "NHWC":
        shape = (spec.height, spec.width, 3)
    return ModelFile(
        card.name, card.version, card.path, {spec.name: shape} if spec.name else {"": shape}
    )
