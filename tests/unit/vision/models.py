"""Tiny ONNX models for tests: constant output, or output that depends on the picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEIGHT = 64, 64
LABELS = ["person", "car", "dog"]
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
}


def write_constant(
    path: Path,
    answers: Mapping[str, NDArray[Any]],
    *,
    batch: int | str = "N",
    shape: Sequence[int] = (3, HEIGHT, WIDTH),
    dtype: str = "float32",
    sizes: str | None = None,
) -> Path:
    """Write a model with constant output `answers`; a single row is repeated for each picture."""
    inputs = [helper.make_tensor_value_info("images", _TYPES[dtype], [batch, *shape])]
    nodes, values, outputs = [], [], []
    nodes.append(helper.make_node("Shape", ["images"], ["n"], start=0, end=1))
    if sizes:
        inputs.append(helper.make_tensor_value_info(sizes, TensorProto.INT64, [batch, 2]))
    for name, answer in answers.items():
        values.append(numpy_helper.from_array(answer, f"{name}.value"))
        rest = np.asarray(answer.shape[1:], np.int64)
        values.append(numpy_helper.from_array(rest, f"{name}.rest"))
        if len(answer) == 1:
            nodes.append(
                helper.make_node("Concat", ["n", f"{name}.rest"], [f"{name}.shape"], axis=0)
            )
            nodes.append(helper.make_node("Expand", [f"{name}.value", f"{name}.shape"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [f"{name}.value"], [name]))
        kind = helper.np_dtype_to_tensor_dtype(answer.dtype)
        outputs.append(helper.make_tensor_value_info(name, kind, [None, *answer.shape[1:]]))
    return _save(path, nodes, inputs, outputs, values)


def write_seeing(path: Path, *, batch: int | str = "N", dtype: str = "float32") -> Path:
    """Write a yolov8 model with one cell: a box of 32 x 32 in the middle.

    Its scores are the means of the colour planes.
    """
    inputs = [helper.make_tensor_value_info("images", _TYPES[dtype], [batch, 3, HEIGHT, WIDTH])]
    values = [
        numpy_helper.from_array(np.asarray([[[32], [32], [32], [32]]], np.float32), "box"),
        numpy_helper.from_array(np.asarray([2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.asarray([4, 1], np.int64), "rest"),
        numpy_helper.from_array(np.asarray([-1], np.int64), "last"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["scores"]),
        helper.make_node("Shape", ["images"], ["n"], start=0, end=1),
        helper.make_node("Concat", ["n", "rest"], ["shape"], axis=0),
        helper.make_node("Expand", ["box", "shape"], ["boxes"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [batch, 7, 1])]
    return _save(path, nodes, inputs, outputs, values)


def write_hanging(path: Path, *, above: float | None = None) -> Path:
    """Write a model like `write_seeing` that hangs at every picture but an even grey.

    `above`: it hangs only at pictures with a value above this one.
    """
    write_seeing(path)
    model = onnx.load(str(path))
    graph = model.graph
    [answer] = graph.output
    graph.node[-1].output[0] = "seen"
    flag = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Add", ["turns", "one"], ["more_turns"]),
        ],
        "turn",
        [
            flag("number", TensorProto.INT64, []),
            flag("go_on", TensorProto.BOOL, []),
            flag("turns", TensorProto.FLOAT, []),
        ],
        [flag("goes_on", TensorProto.BOOL, []), flag("more_turns", TensorProto.FLOAT, [])],
    )
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in {
            "one": np.float32(1),
            "zero": np.float32(0),
            "uneven": np.float32(1e-4),
            "above": np.float32(above or 0),
            "for_ever": np.int64(1 << 62),
        }.items()
    )
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["floats"], ["most"], keepdims=0),
            helper.make_node("ReduceMin", ["floats"], ["least"], keepdims=0),
            helper.make_node("Sub", ["most", "least"], ["spread"]),
            helper.make_node("Greater", ["spread", "uneven"], ["is_uneven"]),
            helper.make_node("Greater", ["most", "above"], ["is_above"]),
            helper.make_node(
                "Loop",
                ["for_ever", "is_uneven" if above is None else "is_above", "zero"],
                ["turned"],
                body=body,
            ),
            helper.make_node("Mul", ["turned", "zero"], ["nothing"]),
            helper.make_node("Add", ["seen", "nothing"], [answer.name]),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _save(path: Path, nodes: Any, inputs: Any, outputs: Any, values: Any) -> Path:
    graph = helper.make_graph(nodes, "test", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def write_card(folder: Path, output: Mapping[str, Any] | None, **changes: Any) -> Path:
    """Write a card for `model.onnx` in `folder`; `changes` replace keys, None removes a key."""
    card: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "file": "model.onnx",
        "input": {"width": WIDTH, "height": HEIGHT},
        "output": output,
        "labels": LABELS,
        "thresholds": {"score": 0.3, "iou": 0.5},
    }
    card.update(changes)
    card = {key: value for key, value in card.items() if value is not None}
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(card))
    return path
