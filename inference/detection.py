"""Pictures to objects over an engine: what a model card describes, around the model itself.

picture ─► letterbox, tensor ─► engine ─► layout, NMS, labels ─► objects
"""

import asyncio
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import ModelError
from inference.datatypes import NUMPY
from inference.engine import FREE, InferenceEngine, InferRequest, Priority
from inference.errors import ComputeError, InferenceError
from vision.card import ModelCard
from vision.detector import BgrImage, DetectedObject
from vision.layouts.factory import layout_for
from vision.postprocess import Postprocessor
from vision.preprocess import Placement, Preprocessor, place

CHECK_S = 20.0
"""A model must answer its first picture within this time."""
_PREPROCESSORS = 4
"""Pictures that are converted at the same time, each in a thread."""


class DetectionModel:
    """A detector's card, and the engine that computes its model."""

    def __init__(self, card: ModelCard, engine: InferenceEngine) -> None:
        self.card = card
        self._engine = engine
        self._layout = layout_for(card)
        self._postprocessor = Postprocessor(card, self._layout)
        self._preprocessors = deque(Preprocessor(card.input) for _ in range(_PREPROCESSORS))
        self._free = asyncio.Semaphore(_PREPROCESSORS)
        self._input = card.input.name or ""

    async def check(self) -> None:
        """Compare the card with the model, and try a grey picture; raises ModelError."""
        card, layout = self.card, self._layout
        metadata = await self._engine.metadata(card.name, card.version)
        inputs = {spec.name: spec for spec in metadata.inputs}
        pictures = [name for name in inputs if name not in layout.extra_inputs]
        name = card.input.name or (pictures[0] if len(pictures) == 1 else "")
        if name not in inputs or set(inputs) != {name, *layout.extra_inputs}:
            raise ModelError(
                f"Model {card.path}: the model has the inputs {', '.join(inputs)}, which are not "
                "those of the card. Correct the card's input."
            )
        spec = inputs[name]
        planes: tuple[int, ...] = (3, card.input.height, card.input.width)
        if card.input.layout == "NHWC":
            planes = (*planes[1:], 3)
        fits = len(spec.shape) == 4 and all(
            found in (FREE, wanted) for found, wanted in zip(spec.shape[1:], planes, strict=True)
        )
        if not fits or NUMPY[spec.datatype] != np.dtype(card.input.dtype):
            raise ModelError(
                f"Model {card.path}: the card says {card.input.dtype} [N, "
                f"{', '.join(map(str, planes))}], the model takes {spec.datatype} "
                f"{list(spec.shape)}. Correct the card's input."
            )
        missing = set(layout.outputs) - {spec.name for spec in metadata.outputs}
        if missing:
            raise ModelError(
                f"Model {card.path}: layout {card.output.layout} expects the output "
                f"{min(missing)}, which the model does not have. Correct the card's output."
            )
        self._input = name
        grey = np.full((card.input.height, card.input.width, 3), 127, np.uint8)
        try:
            await self.detect(grey, timeout_s=CHECK_S)
        except InferenceError as error:
            raise ModelError(f"Model {card.path} cannot analyse a picture: {error}") from error

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which a picture of this size is scaled for the model, pixels."""
        at = place(self.card.input, width, height)
        return at.width, at.height

    async def detect(
        self,
        picture: BgrImage,
        *,
        priority: Priority = Priority.INTERACTIVE,
        timeout_s: float | None = None,
        tenant: str = "",
        traceparent: str = "",
    ) -> list[DetectedObject]:
        """Return the objects of a picture, best score first; raises InferenceError."""
        tensor, placement = await self._preprocess(picture)
        request = InferRequest(
            model=self.card.name,
            version=self.card.version,
            inputs={self._input: tensor, **self._layout.feed(1)},
            outputs=tuple(self._layout.outputs),
            priority=priority,
            timeout_s=timeout_s,
            tenant=tenant,
            traceparent=traceparent,
        )
        tensors = await self._engine.infer(request)
        try:
            return self._postprocessor.objects(tensors, [placement])[0]
        except ModelError as error:
            raise ComputeError(str(error)) from error

    async def _preprocess(self, picture: BgrImage) -> tuple[NDArray[Any], Placement]:
        async with self._free:
            preprocessor = self._preprocessors.pop()
            try:
                return await asyncio.to_thread(_tensor, preprocessor, picture)
            finally:
                self._preprocessors.append(preprocessor)


def _tensor(preprocessor: Preprocessor, picture: BgrImage) -> tuple[NDArray[Any], Placement]:
    tensor, placements = preprocessor.to_tensor([picture])
    # The next call overwrites it, and the request may wait.
    return tensor.copy(), placements[0]
