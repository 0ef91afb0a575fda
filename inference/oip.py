"""Messages of the Open Inference Protocol v2 over HTTP, with the binary tensor extension.

    header: Inference-Header-Content-Length: 123      absent: the whole body is JSON
    body:   123 bytes of JSON │ tensor │ tensor │ …   little-endian, in the order of the JSON

https://github.com/kserve/open-inference-protocol, and Triton's extension_binary_data.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.datatypes import NAMES, NUMPY
from inference.engine import InferRequest, ModelMetadata, Priority, TensorSpec
from inference.errors import InvalidTensorError

HEADER_LENGTH = "Inference-Header-Content-Length"
MAX_ELEMENTS = 64 << 20
"""Of one tensor: a shape that claims more is refused before memory is taken."""
MAX_TENSORS = 64
_PRIORITIES = {0: Priority.INTERACTIVE} | {int(one): one for one in Priority}


class _ProtocolPart(BaseModel):
    # Clients may send members that others know.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _GivenInput(_ProtocolPart):
    name: str = Field(min_length=1, max_length=200)
    shape: tuple[int, ...] = Field(max_length=16)
    datatype: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = None


class _RequestedOutput(_ProtocolPart):
    name: str = Field(min_length=1, max_length=200)
    parameters: dict[str, Any] = Field(default_factory=dict)


class _InferMessage(_ProtocolPart):
    id: str = Field("", max_length=200)
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[_GivenInput] = Field(min_length=1, max_length=MAX_TENSORS)
    outputs: list[_RequestedOutput] = Field(default_factory=list, max_length=MAX_TENSORS)


class _AnsweredTensor(_ProtocolPart):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = None


class _Answer(_ProtocolPart):
    id: str = ""
    model_name: str = ""
    model_version: str = ""
    outputs: list[_AnsweredTensor] = Field(max_length=MAX_TENSORS)


@dataclass(frozen=True, slots=True)
class DecodedRequest:
    """A request, and how its answer is wanted."""

    request: InferRequest
    binary_outputs: frozenset[str]
    """Names of outputs that are wanted as bytes."""
    all_binary: bool
    """Whether outputs that were not named are wanted as bytes."""


def decode_request(
    body: bytes, header_length: int | None, *, model: str, version: str, tenant: str = "",
    traceparent: str = "",
) -> DecodedRequest:  # fmt: skip
    """Return the request in a body; raises InvalidTensorError that says what is wrong."""
    head, rest = _split(body, header_length)
    try:
        message = _InferMessage.model_validate_json(head)
    except ValidationError as error:
        raise InvalidTensorError(f"The request is not valid: {_first(error)}.") from None
    tensors = _read_tensors(message.inputs, rest)
    binary = {
        output.name: bool(output.parameters.get("binary_data", False)) for output in message.outputs
    }
    request = InferRequest(
        model=model,
        version=version,
        inputs=tensors,
        outputs=tuple(binary),
        priority=_priority(message.parameters),
        timeout_s=_timeout_s(message.parameters),
        tenant=tenant,
        traceparent=traceparent,
        id=message.id,
    )
    return DecodedRequest(
        request,
        frozenset(name for name, wanted in binary.items() if wanted),
        bool(message.parameters.get("binary_data_output", False)),
    )


def encode_answer(
    metadata: ModelMetadata, decoded: DecodedRequest, outputs: Mapping[str, NDArray[Any]]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON where tensors follow."""
    names = decoded.request.outputs or tuple(outputs)
    described: list[dict[str, Any]] = []
    parts: list[memoryview] = []
    for name in names:
        wanted = name in decoded.binary_outputs or (
            decoded.all_binary and name not in decoded.request.outputs
        )
        entry, part = _describe(name, outputs[name], binary=wanted)
        described.append(entry)
        parts += [part] if wanted else []
    message = {
        "id": decoded.request.id,
        "model_name": metadata.name,
        "model_version": metadata.version,
        "outputs": described,
    }
    return _join(message, parts)


def encode_request(request: InferRequest) -> tuple[bytes, int | None]:
    """Return the body of a request with binary tensors, and the length of its JSON."""
    described: list[dict[str, Any]] = []
    parts: list[memoryview] = []
    for name, value in request.inputs.items():
        entry, part = _describe(name, value, binary=True)
        described.append(entry)
        parts.append(part)
    parameters: dict[str, Any] = {"priority": int(request.priority)}
    if request.timeout_s is not None:
        parameters["timeout"] = max(1, round(request.timeout_s * 1e6))
    message: dict[str, Any] = {"id": request.id, "parameters": parameters, "inputs": described}
    if request.outputs:
        message["outputs"] = [
            {"name": name, "parameters": {"binary_data": True}} for name in request.outputs
        ]
    else:
        parameters["binary_data_output"] = True
    return _join(message, parts)


def decode_answer(body: bytes, header_length: int | None) -> dict[str, NDArray[Any]]:
    """Return the outputs in an answer; raises InvalidTensorError."""
    head, rest = _split(body, header_length)
    try:
        message = _Answer.model_validate_json(head)
    except ValidationError as error:
        raise InvalidTensorError(f"The answer is not valid: {_first(error)}.") from None
    return _read_tensors(message.outputs, rest)


def metadata_message(metadata: ModelMetadata, versions: Sequence[str]) -> dict[str, Any]:
    """Return the JSON that describes a model."""

    def specs(values: Sequence[TensorSpec]) -> list[dict[str, Any]]:
        return [
            {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
            for spec in values
        ]

    return {
        "name": metadata.name,
        "versions": list(versions),
        "platform": metadata.platform,
        "inputs": specs(metadata.inputs),
        "outputs": specs(metadata.outputs),
        "parameters": {"max_batch": metadata.max_batch},
    }


def _split(body: bytes, header_length: int | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not 0 < header_length <= len(body):
        raise InvalidTensorError(
            f"{HEADER_LENGTH} is {header_length}, the body has {len(body)} bytes."
        )
    return body[:header_length], memoryview(body)[header_length:]


def _join(message: Mapping[str, Any], parts: Sequence[memoryview]) -> tuple[bytes, int | None]:
    head = json.dumps(message, separators=(",", ":")).encode()
    return b"".join([head, *parts]), len(head) if parts else None


def _describe(name: str, value: NDArray[Any], *, binary: bool) -> tuple[dict[str, Any], memoryview]:
    datatype = NAMES.get(value.dtype)
    if datatype is None:
        raise InvalidTensorError(f"Tensor {name} has the type {value.dtype}, which has no name.")
    entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(value.shape)}
    flat = np.ascontiguousarray(value)
    data = flat.reshape(-1).view(np.uint8).data
    if binary:
        entry["parameters"] = {"binary_data_size": data.nbytes}
    else:
        # JSON has no NaN: null, as no finite value says the same.
        values = flat.reshape(-1).tolist()
        if flat.dtype.kind == "f":
            values = [v if np.isfinite(v) else None for v in values]
        entry["data"] = values
    return entry, data


def _read_tensors(
    described: Sequence[_GivenInput | _AnsweredTensor], rest: memoryview
) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    at = 0
    for one in described:
        dtype = NUMPY.get(one.datatype)
        if dtype is None:
            raise InvalidTensorError(
                f"Tensor {one.name} has the type {one.datatype}. Known: {', '.join(NUMPY)}."
            )
        if one.name in tensors:
            raise InvalidTensorError(f"Tensor {one.name} is given twice.")
        elements = _elements(one.name, one.shape)
        size = one.parameters.get("binary_data_size")
        if size is None:
            tensors[one.name] = _from_json(one, dtype, elements)
            continue
        if size != elements * dtype.itemsize or at + size > len(rest):
            raise InvalidTensorError(
                f"Tensor {one.name} of {one.datatype} {list(one.shape)} has "
                f"{elements * dtype.itemsize} bytes; binary_data_size is {size}, and "
                f"{len(rest) - at} bytes follow."
            )
        flat = np.frombuffer(rest[at : at + size], dtype)
        tensors[one.name] = flat.reshape(one.shape)
        at += size
    if at != len(rest):
        raise InvalidTensorError(f"{len(rest) - at} bytes follow after the last tensor.")
    return tensors


def _elements(name: str, shape: Sequence[int]) -> int:
    elements = 1
    for length in shape:
        if length < 0:
            raise InvalidTensorError(f"Tensor {name} has a negative length: {list(shape)}.")
        elements *= length
        if elements > MAX_ELEMENTS:
            raise InvalidTensorError(
                f"Tensor {name} has more than {MAX_ELEMENTS} elements: {list(shape)}."
            )
    return elements


def _from_json(
    one: _GivenInput | _AnsweredTensor, dtype: np.dtype[Any], elements: int
) -> NDArray[Any]:
    if one.data is None:
        raise InvalidTensorError(f"Tensor {one.name} has neither data nor binary_data_size.")
    try:
        if dtype.kind in "iu":
            return _integers(one.data, dtype, elements).reshape(one.shape)
        values = np.asarray(one.data)
        if values.size != elements or values.dtype.kind not in "biuf":
            raise ValueError(f"{values.size} values")
        return values.reshape(one.shape).astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidTensorError(
            f"The data of tensor {one.name} is not {one.datatype} {list(one.shape)}: {error}."
        ) from None


def _integers(data: list[Any], dtype: np.dtype[Any], elements: int) -> NDArray[Any]:
    # As Python's own: numpy makes floats of integers that are large for it.
    values = np.asarray(data, dtype=object).reshape(-1)
    limits = np.iinfo(dtype)
    if values.size != elements:
        raise ValueError(f"{values.size} values")
    if not all(isinstance(v, int) and limits.min <= v <= limits.max for v in values):
        raise ValueError("values outside the type's range")
    return values.astype(dtype)


def _priority(parameters: Mapping[str, Any]) -> Priority:
    """Return Triton's `priority`: 0 is the default, and numbers after the last class are it."""
    number = parameters.get("priority", 0)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InvalidTensorError("The parameter priority is a number from 0 on; 1 is the highest.")
    return _PRIORITIES.get(number, Priority.REPLAY)


def _timeout_s(parameters: Mapping[str, Any]) -> float | None:
    """Return Triton's `timeout`, which is in microseconds; 0: none."""
    number = parameters.get("timeout", 0)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InvalidTensorError("The parameter timeout is a number of microseconds.")
    return number / 1e6 if number else None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where}: {first['msg']}"
