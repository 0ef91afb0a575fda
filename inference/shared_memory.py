"""Memory that a program shares with its model process: slots of a batch's inputs and outputs.

    │ slot 0: inputs │ slot 0: outputs │ slot 1: inputs │ slot 1: outputs │ …

It is a memfd: it has no name, so nothing is left behind after kill -9. What does not fit into a
slot travels in the message itself.
"""

import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import ComputeError

ALIGNMENT = 64
"""Bytes; ONNX Runtime's kernels read whole cache lines."""

TensorHeaders = list[list[Any]]
"""Name, numpy's type string, shape, offset; in a message's JSON."""


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def packed_bytes(tensors: Mapping[str, Sequence[NDArray[Any]]]) -> int:
    """Return how many bytes these tensors, each given in parts, take in a slot."""
    return sum(_aligned(sum(part.nbytes for part in parts)) for parts in tensors.values())


@dataclass(frozen=True, slots=True)
class SlotLayout:
    """How large the slots are, bytes."""

    slots: int
    input_bytes: int
    output_bytes: int

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot."""
        return _aligned(self.input_bytes) + _aligned(self.output_bytes)

    @property
    def total_bytes(self) -> int:
        """Bytes of all slots; a mapping cannot be empty."""
        return max(mmap.PAGESIZE, self.slots * self.slot_bytes)


class Slots:
    """The mapped memory, on either side."""

    def __init__(self, descriptor: int, layout: SlotLayout) -> None:
        """Map the memory of `descriptor`, which has its size already."""
        self._layout = layout
        self._memory = mmap.mmap(descriptor, layout.total_bytes)

    def write_inputs(
        self, slot: int, tensors: Mapping[str, Sequence[NDArray[Any]]]
    ) -> tuple[TensorHeaders, bytes]:
        """Write inputs, each given in parts that are joined; return their headers and the rest.

        The rest are the bytes for the message: all of them where the slot is too small.
        """
        layout = self._layout
        return self._write(tensors, slot * layout.slot_bytes, layout.input_bytes)

    def write_outputs(
        self, slot: int, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[TensorHeaders, bytes]:
        """Write outputs; see `write_inputs`."""
        layout = self._layout
        start = slot * layout.slot_bytes + _aligned(layout.input_bytes)
        parts = {name: [tensor] for name, tensor in tensors.items()}
        return self._write(parts, start, layout.output_bytes)

    def read_inputs(
        self, slot: int, headers: TensorHeaders, body: bytes
    ) -> dict[str, NDArray[Any]]:
        """Return the inputs of a slot without copying them."""
        start = slot * self._layout.slot_bytes
        return self._read(headers, body, start, self._layout.input_bytes)

    def read_outputs(
        self, slot: int, headers: TensorHeaders, body: bytes
    ) -> dict[str, NDArray[Any]]:
        """Return the outputs of a slot as copies: the slot is used again."""
        start = slot * self._layout.slot_bytes + _aligned(self._layout.input_bytes)
        tensors = self._read(headers, body, start, self._layout.output_bytes)
        return {name: tensor.copy() for name, tensor in tensors.items()}

    def close(self) -> None:
        """Unmap the memory, as soon as no array uses it."""
        try:
            self._memory.close()
        except BufferError:
            # An array of a batch that was cut off still refers to it; freed with that array.
            return

    def _write(
        self, tensors: Mapping[str, Sequence[NDArray[Any]]], start: int, room: int
    ) -> tuple[TensorHeaders, bytes]:
        size = packed_bytes(tensors)
        target: bytearray | mmap.mmap = self._memory
        if size > room:
            target, start = bytearray(size), 0
        headers: TensorHeaders = []
        offset = 0
        for name, parts in tensors.items():
            scalar = not parts[0].ndim
            shape = [] if scalar else [sum(len(part) for part in parts), *parts[0].shape[1:]]
            joined = np.frombuffer(
                target, parts[0].dtype, int(np.prod(shape, dtype=np.int64)), start + offset
            ).reshape(shape)
            row = 0
            for part in parts:
                if scalar:
                    joined[...] = part
                else:
                    joined[row : row + len(part)] = part
                    row += len(part)
            headers.append([name, parts[0].dtype.str, shape, offset])
            offset += _aligned(joined.nbytes)
        return headers, bytes(target) if isinstance(target, bytearray) else b""

    def _read(
        self, headers: TensorHeaders, body: bytes, start: int, room: int
    ) -> dict[str, NDArray[Any]]:
        """Return arrays over the memory; headers come from the other process and are checked."""
        source: bytes | mmap.mmap = self._memory
        if body:
            source, start, room = body, 0, len(body)
        tensors = {}
        for name, kind, shape, offset in headers:
            dtype = np.dtype(kind)
            count = int(np.prod(shape, dtype=np.int64))
            if dtype.hasobject or not 0 <= offset <= offset + count * dtype.itemsize <= room:
                raise ComputeError("The model process sent a tensor outside its memory.")
            tensors[name] = np.frombuffer(source, dtype, count, start + offset).reshape(shape)
        return tensors


def anonymous_memory(name: str) -> int:
    """Return the descriptor of new memory of size 0; `name` is only for /proc."""
    return os.memfd_create(name, os.MFD_CLOEXEC)
