"""One loaded ONNX file: what it takes and gives, which batches it allows, and which size pays."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import ModelError
from inference.batch_size import measure_batch_size
from inference.datatypes import NUMPY, ONNX
from inference.engine import FREE, MAX_ROWS, ModelMetadata, TensorSpec
from inference.model_files import ModelFile
from vision.gpu import GpuOptions
from vision.providers import open_session

MAX_INPUT_BYTES = 32 << 20
"""Most bytes of one request's inputs."""
_SAMPLE_LENGTH = 16
"""For a free dimension that no one knows."""
_PROBE_ROWS = 3


class OnnxSession:
    """A model in this process; `run` may be called by several threads at once."""

    def __init__(
        self,
        file: ModelFile,
        *,
        providers: Sequence[str],
        fallback: bool,
        threads: int,
        gpu: GpuOptions | None = None,
    ) -> None:
        """Load the file, and compute a sample. Raises ModelError where it cannot be used."""
        self._file = file
        self._session, self.provider = open_session(
            file.path, providers, fallback=fallback, threads=threads, gpu=gpu
        )
        self.inputs = tuple(_spec(value, file) for value in self._session.get_inputs())
        self.outputs = tuple(_spec(value, file) for value in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]
        if not self.inputs:
            raise ModelError(f"Model {file.path} has no input.")
        self.fixed_rows = self._fixed_rows()
        self.max_rows = self._max_rows()
        sample = self.run(self.sample(self.fixed_rows or 1))
        self.output_row_bytes = sum(value.nbytes for value in sample.values())
        self.best_rows, self.ms_by_rows = self.fixed_rows or 1, dict[int, float]()

    def metadata(self) -> ModelMetadata:
        """Return what clients may know."""
        return ModelMetadata(
            self._file.name,
            self._file.version,
            "onnxruntime_onnx",
            self.inputs,
            self.outputs,
            self.max_rows,
        )

    def warm_up(self) -> None:
        """Find the batch size that pays; all kernels and engines for it are built by this."""

        def measure_s(rows: int) -> float:
            sample = self.sample(rows)
            started_s = time.perf_counter()
            self.run(sample)
            return time.perf_counter() - started_s

        if not self.fixed_rows and self.max_rows > 1:
            self.best_rows, self.ms_by_rows = measure_batch_size(self.max_rows, measure_s)

    def sample(self, rows: int) -> dict[str, NDArray[Any]]:
        """Return inputs that any model accepts: grey pictures, or the first tokens."""
        sample = {}
        for spec in self.inputs:
            shape = self._file.row_shape(spec, _SAMPLE_LENGTH)
            dtype = NUMPY[spec.datatype]
            value = 127 if spec.datatype == "UINT8" else 1 if dtype.kind in "iu" else 0.5
            sample[spec.name] = np.full((rows, *shape), value, dtype)
        return sample

    def input_row_bytes(self) -> int:
        """Return the bytes of one row of all inputs."""
        return sum(value.nbytes for value in self.sample(1).values())

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()
    ) -> dict[str, NDArray[Any]]:
        """Compute a batch; a model with a fixed batch gets empty rows. Raises ModelError."""
        rows = len(next(iter(inputs.values())))
        if self.fixed_rows and rows != self.fixed_rows:
            inputs = {name: _padded(value, self.fixed_rows) for name, value in inputs.items()}
        names = list(outputs) or self._names
        try:
            values = self._session.run(names, dict(inputs))
        except Exception as error:  # its classes share no base
            what = " ".join(str(error).split())[:300]
            raise ModelError(
                f"Model {self._file.name} cannot compute a batch of {rows}: {what}"
            ) from error
        found = dict(zip(names, values, strict=True))
        if self.fixed_rows and rows != self.fixed_rows:
            found = {name: value[:rows] for name, value in found.items()}
        return found

    def _fixed_rows(self) -> int:
        """Return the batch size that the file demands; 0: any."""
        sizes = {spec.shape[0] for spec in self.inputs if spec.shape} - {FREE}
        if len(sizes) > 1:
            raise ModelError(
                f"Model {self._file.path} demands different batch sizes: {sorted(sizes)}."
            )
        return sizes.pop() if sizes else 0

    def _max_rows(self) -> int:
        if self.fixed_rows:
            return self.fixed_rows
        most = max(1, min(MAX_ROWS, MAX_INPUT_BYTES // max(1, self.input_row_bytes())))
        if most == 1:
            return 1
        # Outputs that are not one row for each input (such as a list of boxes of all pictures)
        # cannot be divided among requests.
        probe = min(most, _PROBE_ROWS)
        found = self.run(self.sample(probe))
        by_row = all(value.ndim and len(value) == probe for value in found.values())
        return most if by_row else 1


def _spec(value: Any, file: ModelFile) -> TensorSpec:
    datatype = ONNX.get(value.type)
    if datatype is None:
        known = ", ".join(NUMPY)
        raise ModelError(
            f"Model {file.path}: {value.name} has the type {value.type}. Only {known} can be used."
        )
    shape = tuple(n if isinstance(n, int) and n > 0 else FREE for n in value.shape)
    return TensorSpec(value.name, datatype, shape)


def _padded(value: NDArray[Any], rows: int) -> NDArray[Any]:
    padded = np.zeros((rows, *value.shape[1:]), value.dtype)
    padded[: len(value)] = value
    return padded
