"""Slots of tensors in memory that two processes share."""

import os
from typing import Any

import numpy as np
import pytest

from inference.errors import ComputeError
from inference.shared_memory import SlotLayout, Slots, anonymous_memory

LAYOUT = SlotLayout(slots=2, input_bytes=1_024, output_bytes=128)


@pytest.fixture
def sides() -> Any:
    """Return the two mappings of one memory."""
    memory = anonymous_memory("test")
    os.ftruncate(memory, LAYOUT.total_bytes)
    both = Slots(memory, LAYOUT), Slots(memory, LAYOUT)
    os.close(memory)
    yield both
    for one in both:
        one.close()


def test_parts_are_joined_on_the_way(sides: tuple[Slots, Slots]) -> None:
    ours, theirs = sides
    a, b = np.arange(6.0).reshape(2, 3), np.arange(10.0, 13.0).reshape(1, 3)
    ids = np.asarray([[1], [2], [3]], np.int64)
    headers, rest = ours.write_inputs(1, {"x": [a, b], "ids": [ids]})
    assert rest == b""
    found = theirs.read_inputs(1, headers, rest)
    np.testing.assert_array_equal(found["x"], np.concatenate([a, b]))
    np.testing.assert_array_equal(found["ids"], ids)


def test_slots_do_not_touch_each_other(sides: tuple[Slots, Slots]) -> None:
    ours, theirs = sides
    value = np.full(1_000, 7, np.uint8)
    first, _ = ours.write_inputs(0, {"x": [value]})
    output, _ = theirs.write_outputs(0, {"y": np.full(100, 9, np.uint8)})
    ours.write_inputs(1, {"x": [value * 0]})
    assert (theirs.read_inputs(0, first, b"")["x"] == 7).all()
    assert (ours.read_outputs(0, output, b"")["y"] == 9).all()


def test_what_does_not_fit_travels_in_the_message(sides: tuple[Slots, Slots]) -> None:
    ours, theirs = sides
    large = np.arange(5_000, dtype=np.uint16)
    headers, rest = ours.write_inputs(0, {"x": [large]})
    assert len(rest) >= large.nbytes
    np.testing.assert_array_equal(theirs.read_inputs(0, headers, rest)["x"], large)
    small, nothing = np.float32(1.5), b""
    headers, nothing = theirs.write_outputs(0, {"score": np.asarray(small)})
    assert ours.read_outputs(0, headers, nothing)["score"] == small


@pytest.mark.parametrize(
    "header",
    [["y", "<f4", [1_000], 0], ["y", "<f4", [1], -4], ["y", "|O", [1], 0], ["y", "<f4", [2], 124]],
)
def test_a_tensor_outside_the_memory_is_refused(
    sides: tuple[Slots, Slots], header: list[Any]
) -> None:
    with pytest.raises(ComputeError, match="outside its memory"):
        sides[0].read_outputs(0, [header], b"")
