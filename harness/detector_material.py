"""The detector bench's pictures and model: a street of moving blocks, and made-up weights."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import yaml

from domain.errors import VigilError
from edge_bridge.inference.decode import EncodedPacket

FPS = 15
KEYFRAME_EVERY_S = 2
RUN = "01930000-0000-7000-8000-000000000001"
SIDE = 640
CLASSES = 80
_OBJECTS = 5
_WIDTHS = (16, 32, 64, 64, 128)
"""Channels of the made-up model's layers, each of half its predecessor's size."""


def street(width: int, height: int, pictures: int) -> Iterator[av.VideoFrame]:
    """Yield pictures in yuv420p: a static background, and blocks that cross it."""
    dice = np.random.default_rng(2026)
    rough = dice.integers(40, 200, (height // 8, width // 8, 3)).astype(np.uint8)
    ground = np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    blocks = [
        (dice.uniform(0, 1), dice.uniform(0.1, 0.8), dice.uniform(-0.01, 0.01), dice.integers(255))
        for _ in range(8)
    ]
    for at in range(pictures):
        picture = ground.copy()
        for x, y, speed, grey in blocks:
            left = int((x + speed * at) % 1 * width)
            top = int(y * height)
            picture[top : top + height // 6, left : left + width // 16] = grey
        grain = dice.integers(0, 6, (height, width, 1), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture + grain, format="bgr24")
        yield frame.reformat(format="yuv420p")


@dataclass(frozen=True, slots=True)
class Reel:
    """One camera's encoded stream."""

    seconds: float
    packets: list[EncodedPacket]


def encoded(width: int, height: int, *, seconds: int, megabits: float) -> Reel:
    """Return a street as H.264 with a keyframe in two seconds, close to `megabits` a second."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = Fraction(FPS), Fraction(1, FPS)
    context.bit_rate = round(megabits * 1e6)
    context.options = {"preset": "veryfast", "g": str(FPS * KEYFRAME_EVERY_S), "bf": "0"}
    packets = []
    for at, frame in enumerate([*street(width, height, seconds * FPS), None]):
        if frame is not None:
            frame.pts, frame.time_base = at, Fraction(1, FPS)
        for packet in context.encode(frame):
            packets.append((bytes(packet), packet.pts, packet.is_keyframe))
    return Reel(
        seconds,
        [
            EncodedPacket(
                RUN, data, pts * 90_000 // FPS, pts * 1_000 // FPS, key, "h264", b"", False
            )
            for data, pts, key in packets
        ],
    )


def write_model(folder: Path) -> Path:
    """Write a small detector of convolutions, and its card; returns the card.

    Its weights are random, but a few cells always answer, so that all that follows has work.
    """
    try:
        onnx = importlib.import_module("onnx")
    except ImportError:
        raise VigilError(
            "The bench makes its model with the package onnx: install it, or give --model CARD."
        ) from None
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    dice = np.random.default_rng(7)
    nodes, values = [], []
    name, channels = "images", 3
    for layer, wide in enumerate(_WIDTHS):
        for turn, stride in ((0, 2), (1, 1)) if layer else ((0, 2),):
            weights = dice.normal(0, (2 / (9 * channels)) ** 0.5, (wide, channels, 3, 3))
            key = f"{layer}.{turn}"
            values.append(numpy_helper.from_array(weights.astype(np.float32), f"w{key}"))
            nodes.append(
                helper.make_node(
                    "Conv", [name, f"w{key}"], [f"c{key}"], kernel_shape=[3, 3],
                    strides=[stride, stride], pads=[1, 1, 1, 1],
                )
            )  # fmt: skip
            nodes.append(helper.make_node("Relu", [f"c{key}"], [f"r{key}"]))
            name, channels = f"r{key}", wide
    cells = (SIDE >> len(_WIDTHS)) ** 2
    rows = 4 + CLASSES
    head = dice.normal(0, 1e-4, (rows, channels, 1, 1)).astype(np.float32)
    answers = np.full((1, rows, cells), 0.01, np.float32)
    for number in range(_OBJECTS):
        answers[0, :4, number] = (100 + 110 * number, 320, 60, 160)
        answers[0, 4 + number % 3, number] = 0.8
    values += [
        numpy_helper.from_array(head, "head"),
        numpy_helper.from_array(answers, "answers"),
        numpy_helper.from_array(np.asarray([0, rows, cells], np.int64), "shape"),
    ]
    nodes += [
        helper.make_node("Conv", [name, "head"], ["cells"]),
        helper.make_node("Reshape", ["cells", "shape"], ["flat"]),
        helper.make_node("Add", ["flat", "answers"], ["output0"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("images", kind, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", kind, ["N", rows, cells])],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(folder / "bench.onnx"))
    card = {
        "name": "bench", "version": "1", "file": "bench.onnx",
        "input": {"width": SIDE, "height": SIDE, "scale": 1 / 255},
        "output": {"layout": "yolov8"},
        "labels": [f"class {number}" for number in range(CLASSES)],
    }  # fmt: skip
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(card))
    return path
