"""The embedded engine: models in processes of this machine, computed by ONNX Runtime."""

import asyncio
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from inference.engine import InferRequest, ModelMetadata
from inference.errors import UnknownModelError
from inference.model_files import ModelFile
from inference.model_host import HostOptions, ModelHost


class EmbeddedEngine:
    """One ModelHost for each model version, as one engine; see `inference/engine.py`."""

    def __init__(self, files: Sequence[ModelFile], options: HostOptions) -> None:
        self._hosts = {(file.name, file.version): ModelHost(file, options) for file in files}
        self._newest = {file.name: file.version for file in files}
        """The last version that was named of each model answers where no version is asked for."""

    async def load(self) -> None:
        """Load all models, one after the other: warm-up measures, and must not be disturbed."""
        for host in self._hosts.values():
            await host.load()

    async def close(self) -> None:
        """End all processes."""
        await asyncio.gather(*(host.close() for host in self._hosts.values()))

    async def ready(self, model: str = "", version: str = "") -> bool:
        """Return whether a model, or each, answers as it should."""
        hosts = [self.host(model, version)] if model else self._hosts.values()
        return not any(host.problem for host in hosts)

    async def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """Return what is known of a model."""
        return self.host(model, version).metadata

    async def infer(self, request: InferRequest) -> dict[str, NDArray[Any]]:
        """Compute a request."""
        return await self.host(request.model, request.version).infer(request)

    def host(self, model: str, version: str = "") -> ModelHost:
        """Return a model's host; raises UnknownModelError."""
        host = self._hosts.get((model, version or self._newest.get(model, "")))
        if host is None:
            known = ", ".join(f"{name} {number}" for name, number in self._hosts) or "none"
            raise UnknownModelError(
                f"There is no model {model!r}{f' of version {version!r}' if version else ''}. "
                f"Known: {known}."
            )
        return host
