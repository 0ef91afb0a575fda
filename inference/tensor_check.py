"""Whether the tensors of a request fit a model: the same check for each engine."""

from collections.abc import Sequence

from inference.datatypes import NUMPY
from inference.engine import FREE, InferRequest, ModelMetadata, TensorSpec
from inference.errors import InvalidTensorError


def check_request(request: InferRequest, metadata: ModelMetadata) -> int:
    """Return how many rows a request has; raises InvalidTensorError that says what is wrong."""
    wanted = {spec.name: spec for spec in metadata.inputs}
    if set(request.inputs) != set(wanted):
        raise InvalidTensorError(
            f"Model {metadata.name} has the inputs {', '.join(wanted)}; "
            f"the request gives {', '.join(request.inputs) or 'none'}."
        )
    rows: int | None = None
    for name, tensor in request.inputs.items():
        _check_tensor(wanted[name], tensor.shape, metadata.name)
        if tensor.dtype != NUMPY[wanted[name].datatype]:
            raise InvalidTensorError(
                f"Input {name} of model {metadata.name} is {wanted[name].datatype}; "
                f"the request gives {tensor.dtype}."
            )
        if rows not in (None, tensor.shape[0]):
            raise InvalidTensorError("All inputs must have the same first dimension, the batch.")
        rows = int(tensor.shape[0])
    if not rows or rows > metadata.max_batch:
        raise InvalidTensorError(
            f"Model {metadata.name} takes 1 to {metadata.max_batch} rows at once; "
            f"the request has {rows or 0}. Send more requests."
        )
    known = {spec.name for spec in metadata.outputs}
    unknown = [name for name in request.outputs if name not in known]
    if unknown:
        raise InvalidTensorError(
            f"Model {metadata.name} has no output {unknown[0]!r}, only {', '.join(sorted(known))}."
        )
    return rows


def _check_tensor(spec: TensorSpec, shape: Sequence[int], model: str) -> None:
    fits = len(shape) == len(spec.shape) and all(
        wanted in (FREE, found) for found, wanted in zip(shape[1:], spec.shape[1:], strict=True)
    )
    if not fits:
        raise InvalidTensorError(
            f"Input {spec.name} of model {model} has the shape {list(spec.shape)} "
            f"({FREE}: any length); the request gives {list(shape)}."
        )
