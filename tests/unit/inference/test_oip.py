"""Messages of the Open Inference Protocol: both ways, as JSON and as bytes; bad ones refused."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as from_numpy

from inference import oip
from inference.datatypes import NUMPY
from inference.engine import InferRequest, ModelMetadata, Priority, TensorSpec
from inference.errors import InvalidTensorError

METADATA = ModelMetadata(
    "m", "1", "onnx", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 8
)
tensors = st.sampled_from(list(NUMPY.values())).flatmap(
    lambda dtype: from_numpy.arrays(dtype, from_numpy.array_shapes(max_dims=4, max_side=4))
)


def decode(body: bytes, head: int | None = None) -> oip.DecodedRequest:
    """Decode a request to model m."""
    return oip.decode_request(body, head, model="m", version="")


def message(**changes: Any) -> bytes:
    """Return a JSON request of one tensor, with changes to the tensor."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} | changes
    return json.dumps({"inputs": [tensor]}).encode()


@given(st.dictionaries(st.text("abc", min_size=1), tensors, min_size=1, max_size=4))
def test_a_request_comes_back_as_it_was(inputs: dict[str, np.ndarray[Any, Any]]) -> None:
    sent = InferRequest(
        "m", inputs, outputs=("y", "z"), priority=Priority.LIVE, timeout_s=0.25, id="7"
    )
    found = decode(*oip.encode_request(sent))
    assert found.request.priority is Priority.LIVE
    assert found.request.timeout_s == 0.25
    assert found.request.outputs == ("y", "z")
    assert found.request.id == "7"
    assert found.binary_outputs == {"y", "z"}
    for name, value in inputs.items():
        assert found.request.inputs[name].dtype == value.dtype
        np.testing.assert_array_equal(found.request.inputs[name], value)


@given(tensors, st.booleans())
@example(np.asarray([0, 1 << 63], np.uint64), False)
def test_an_answer_comes_back_as_it_was(value: np.ndarray[Any, Any], binary: bool) -> None:
    request = json.loads(message())
    request["parameters"] = {"binary_data_output": binary}
    decoded = decode(json.dumps(request).encode())
    finite = np.nan_to_num(value) if value.dtype.kind == "f" else value
    body, head = oip.encode_answer(METADATA, decoded, {"y": finite})
    assert (head is not None) is binary
    np.testing.assert_array_equal(oip.decode_answer(body, head)["y"], finite)


def test_values_that_json_does_not_have_are_null() -> None:
    body, _ = oip.encode_answer(
        METADATA, decode(message()), {"y": np.asarray([[np.nan, 1.0]], np.float32)}
    )
    assert json.loads(body)["outputs"][0]["data"] == [None, 1.0]


def test_nested_and_flat_data_are_the_same() -> None:
    nested = decode(message(data=[[1, 2]])).request.inputs["x"]
    np.testing.assert_array_equal(nested, decode(message()).request.inputs["x"])


@pytest.mark.parametrize(
    ("number", "priority"),
    [(0, Priority.INTERACTIVE), (1, Priority.LIVE), (2, Priority.INTERACTIVE),
     (3, Priority.REPLAY), (9, Priority.REPLAY)],
)  # fmt: skip
def test_priorities_are_triton_s(number: int, priority: Priority) -> None:
    request = json.loads(message()) | {"parameters": {"priority": number}}
    assert decode(json.dumps(request).encode()).request.priority is priority


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid"),
        (b"[]", "not valid"),
        (b'{"inputs": []}', "inputs"),
        (message(datatype="BYTES"), "type BYTES"),
        (message(shape=[1, 3]), "is not FP32 [1, 3]"),
        (message(shape=[-1, 2]), "negative length"),
        (message(shape=[1 << 40, 1 << 40], data=None), "more than"),
        (message(data=None), "neither data nor"),
        (message(data=["a", "b"]), "is not FP32"),
        (message(data=[[1], [2, 3]]), "is not FP32"),
        (message(datatype="UINT8", data=[1, 256]), "outside the type's range"),
        (message(datatype="INT64", data=[1, 1.5]), "outside the type's range"),
        (message(data=None, parameters={"binary_data_size": 8}), "0 bytes follow"),
        (message(data=None, parameters={"binary_data_size": -8}), "binary_data_size is -8"),
        (json.dumps({"inputs": [json.loads(message())["inputs"][0]] * 2}).encode(), "given twice"),
        (message()[:-1] + b', "parameters": {"priority": -1}}', "priority"),
        (message()[:-1] + b', "parameters": {"timeout": "soon"}}', "timeout"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(body: bytes, says: str) -> None:
    with pytest.raises(InvalidTensorError, match=r".") as caught:
        decode(body)
    assert says in str(caught.value)


@pytest.mark.parametrize("length", [-1, 0, 10_000])
def test_a_header_length_outside_the_body_is_refused(length: int) -> None:
    with pytest.raises(InvalidTensorError, match="the body has"):
        decode(message(), length)


def test_bytes_that_belong_to_no_tensor_are_refused() -> None:
    body, head = oip.encode_request(InferRequest("m", {"x": np.zeros((1, 2), np.float32)}))
    assert head is not None
    with pytest.raises(InvalidTensorError, match="3 bytes follow"):
        decode(body + b"abc", head)
    with pytest.raises(InvalidTensorError, match="binary_data_size"):
        decode(body[:-1], head)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_refused_not_crashed_on(body: bytes, head: int) -> None:
    with pytest.raises(InvalidTensorError):
        decode(body, head)
