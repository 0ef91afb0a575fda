"""The interface of engines: named tensors in, named tensors out. Batches and processes are hidden.

Its words are those of the Open Inference Protocol v2 (KServe, Triton).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]

MAX_ROWS = 32
"""Of one request, where the model does not say less."""
MAX_WAIT_S = 60.0
"""A request without a timeout of its own waits no longer."""
FREE = -1
"""A dimension of any length."""


class Priority(IntEnum):
    """Who goes first. The numbers are Triton's `priority`: 1 is the highest."""

    LIVE = 1
    """Footage of now: alerts wait for it."""
    INTERACTIVE = 2
    """Someone waits for an answer."""
    REPLAY = 3
    """Recorded ranges: any time is soon enough."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    datatype: str
    """The protocol's name, such as FP32."""
    shape: tuple[int, ...]
    """FREE (-1): any length. The first dimension is the batch."""


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a client must know to use a model."""

    name: str
    version: str
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch: int
    """Most rows of one request; at least 1."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """One request to a model: `rows` pictures (or texts) in each input's first dimension."""

    model: str
    inputs: Tensors
    version: str = ""
    """Empty: the only one, or the engine's choice."""
    outputs: Sequence[str] = ()
    """Names of the outputs that are wanted; empty: all."""
    priority: Priority = Priority.INTERACTIVE
    timeout_s: float | None = None
    """The answer is useless after this time; None: the engine's limit."""
    tenant: str = ""
    """For metrics and quotas; empty: the installation itself."""
    traceparent: str = ""
    """W3C trace context of the caller, passed on."""
    id: str = field(default="", compare=False)


class InferenceEngine(Protocol):
    """Computes models."""

    async def load(self) -> None:
        """Make all models ready. Raises ModelError where one cannot be used."""

    async def close(self) -> None:
        """Let go of all models; requests that wait fail with NotReadyError."""

    async def ready(self, model: str = "", version: str = "") -> bool:
        """Return whether a model (empty: each) answers, by the provider that was asked for."""

    async def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """Return what is known of a model; raises UnknownModelError."""

    async def infer(self, request: InferRequest) -> dict[str, NDArray[Any]]:
        """Return the outputs of a request; raises InferenceError. Cancelling it takes it back."""
