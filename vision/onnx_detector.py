"""Any model that a card describes; ONNX Runtime computes it."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from domain.errors import ModelError
from vision.card import ModelCard
from vision.detector import BgrImage, DetectedObject
from vision.gpu import CUDA, TENSORRT, GpuOptions
from vision.layouts.base import Layout, Tensors
from vision.layouts.factory import layout_for
from vision.metrics import set_detector_info
from vision.postprocess import Postprocessor
from vision.preprocess import Placement, Preprocessor, place
from vision.providers import open_session

log = logging.getLogger(__name__)

_TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "uint8": "tensor(uint8)",
    "int64": "tensor(int64)",
}


@dataclass(frozen=True, slots=True)
class PreprocessedBatch:
    """A batch as the model's input."""

    tensor: NDArray[Any]
    placements: list[Placement]


@dataclass(frozen=True, slots=True)
class RawOutput:
    """The model's output tensors for a batch."""

    tensors: Tensors
    placements: list[Placement]


class OnnxDetector:
    """One loaded model; each of its methods is for one thread at a time."""

    def __init__(
        self,
        card: ModelCard,
        *,
        providers: Sequence[str] = ("cpu",),
        fallback: bool = False,
        threads: int = 1,
        batch: int = 8,
        gpu: GpuOptions | None = None,
    ) -> None:
        """Load the card's model and try it on a grey picture; on a GPU also on a whole batch.

        Raises ModelError where the file, provider, inputs or outputs do not fit the card.
        """
        self._card = card
        self._layout: Layout = layout_for(card)
        self._session, self._provider = open_session(
            card.path, providers, fallback=fallback, threads=threads, gpu=gpu
        )
        self._input, fixed = _check_inputs(self._session, card, self._layout)
        self._outputs = _check_outputs(self._session, card, self._layout)
        self._batch = fixed or batch
        self._padded_rows = fixed or 0
        # Double buffering: one batch is inferred while the next is preprocessed.
        self._preprocessors = deque(Preprocessor(card.input) for _ in range(2))
        self._postprocessor = Postprocessor(card, self._layout)
        grey = np.full((card.input.height, card.input.width, 3), 127, np.uint8)
        self.detect([grey])
        if self._provider in {CUDA, TENSORRT}:
            # So kernels and engines for all sizes up to it are built now, not during work.
            self.detect([grey] * self._batch)
        set_detector_info(self.model, self.model_version, self.provider)

    @property
    def model(self) -> str:
        """The card's name."""
        return self._card.name

    @property
    def model_version(self) -> str:
        """The card's version."""
        return self._card.version

    @property
    def provider(self) -> str:
        """The execution provider that computes."""
        return self._provider

    @property
    def batch(self) -> int:
        """Most pictures of one call of the model."""
        return self._batch

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of the picture within the model's input."""
        at = place(self._card.input, width, height)
        return at.width, at.height

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        """Return the objects of each picture, best score first; see vision.detector."""
        found: list[list[DetectedObject]] = []
        for first in range(0, len(pictures), self._batch):
            preprocessed = self.preprocess(pictures[first : first + self._batch])
            found += self.postprocess(self.infer(preprocessed))
        return found

    def preprocess(self, pictures: Sequence[BgrImage]) -> PreprocessedBatch:
        """Return a batch as the model's input; see StagedDetector."""
        self._preprocessors.rotate()
        return PreprocessedBatch(
            *self._preprocessors[0].to_tensor(pictures, min_rows=self._padded_rows)
        )

    def infer(self, preprocessed: PreprocessedBatch) -> RawOutput:
        """Return the model's output for a batch; see StagedDetector."""
        return RawOutput(self._run(preprocessed.tensor), preprocessed.placements)

    def postprocess(self, output: RawOutput) -> list[list[DetectedObject]]:
        """Return the objects of each picture of a batch; see StagedDetector."""
        return self._postprocessor.objects(output.tensors, output.placements)

    def bare_inference(self, pictures: Sequence[BgrImage]) -> Callable[[], object]:
        """Return a call that only runs the model on one batch, for measurements to compare."""
        tensor, _ = Preprocessor(self._card.input).to_tensor(pictures, min_rows=self._padded_rows)
        feed = self._feed(tensor)
        return lambda: self._session.run(self._outputs, feed)

    def _feed(self, tensor: NDArray[np.generic]) -> dict[str, NDArray[Any]]:
        return {self._input: tensor, **self._layout.feed(len(tensor))}

    def _run(self, tensor: NDArray[np.generic]) -> Tensors:
        try:
            values = self._session.run(self._outputs, self._feed(tensor))
        except Exception as error:  # its classes share no base
            what = " ".join(str(error).split())[:300]
            raise ModelError(
                f"Model {self.model} cannot compute a batch of {len(tensor)}: {what}"
            ) from error
        return dict(zip(self._outputs, values, strict=True))


def _describe(values: Sequence[Any]) -> str:
    return ", ".join(f"{v.name} {v.type} {v.shape}" for v in values) or "none"


def _check_inputs(
    session: ort.InferenceSession, card: ModelCard, layout: Layout
) -> tuple[str, int | None]:
    """Return the name of the pictures' input, and the batch size if the model has a fixed one."""
    inputs = session.get_inputs()
    names = [value.name for value in inputs]
    rest = [name for name in names if name not in layout.extra_inputs]
    name = card.input.name or (rest[0] if rest else "")
    wanted = {name, *layout.extra_inputs}
    if name not in names or set(names) != wanted:
        expected = ", ".join(sorted(wanted - {""})) or "one input of pictures"
        raise ModelError(
            f"Model {card.path}: the card expects the inputs {expected}; "
            f"the model has {_describe(inputs)}. Correct the card's input and output."
        )
    spec, value = card.input, inputs[names.index(name)]
    planes = (3, spec.height, spec.width)
    shape = planes if spec.layout == "NCHW" else (*planes[1:], 3)
    fits = len(value.shape) == 4 and all(
        found == wanted or not isinstance(found, int)
        for found, wanted in zip(value.shape[1:], shape, strict=True)
    )
    if not fits or value.type != _TYPES[spec.dtype]:
        raise ModelError(
            f"Model {card.path}: input {name!r}: the card expects {spec.dtype} "
            f"[N, {', '.join(map(str, shape))}] ({spec.layout}), the model takes "
            f"{value.type} {value.shape}. Correct the card's input."
        )
    first = value.shape[0]
    return name, first if isinstance(first, int) and first > 0 else None


def _check_outputs(session: ort.InferenceSession, card: ModelCard, layout: Layout) -> list[str]:
    """Return the names of the outputs to request."""
    outputs = session.get_outputs()
    names = [value.name for value in outputs]
    missing = [name for name in layout.outputs if name not in names]
    if missing:
        raise ModelError(
            f"Model {card.path}: layout {card.output.layout} expects the outputs "
            f"{', '.join(layout.outputs)}; the model has {_describe(outputs)}. "
            "Name them in the card's output."
        )
    return list(layout.outputs) or names[:1]


def load(
    path: Path,
    *,
    providers: Sequence[str] = ("cpu",),
    fallback: bool = False,
    threads: int = 1,
    batch: int = 8,
    gpu: GpuOptions | None = None,
) -> OnnxDetector:
    """Load the model of a card file; raises ModelError."""
    return OnnxDetector(
        ModelCard.load(path),
        providers=providers,
        fallback=fallback,
        threads=threads,
        batch=batch,
        gpu=gpu,
    )
