"""An engine that is another server: any that speaks the Open Inference Protocol v2.

Triton and KServe are such servers. What Vigil promises and the server does not is made here:
a full queue is OverloadedError, whatever status the server uses.
"""

import json
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.errors import ModelError
from inference.engine import FREE, MAX_ROWS, MAX_WAIT_S, InferRequest, ModelMetadata, TensorSpec
from inference.errors import (
    ComputeError,
    DeadlineError,
    InferenceError,
    InvalidTensorError,
    NotReadyError,
    OverloadedError,
    UnknownModelError,
)
from inference.oip import HEADER_LENGTH, decode_answer, encode_request
from inference.tensor_check import check_request

CONNECT_S = 5.0
_SPARE_S = 1.0
"""The server answers a passed deadline itself; wait this much longer for that."""
MAX_ANSWER_BYTES = 256 << 20
RETRY_AFTER_S = 0.2
"""Where the server does not say when (Triton does not)."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    datatype: str
    shape: tuple[int, ...]


class _ModelDescription(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    versions: list[str] = []
    platform: str = ""
    inputs: list[_Spec]
    outputs: list[_Spec]
    parameters: dict[str, Any] = {}


class OipEngine:
    """Another server as an engine; see `inference/engine.py`. Use it within one event loop."""

    def __init__(self, url: str, *, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        """`url`: of the server, without /v2; `token`: sent as a bearer token."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[tuple[str, str], ModelMetadata] = {}

    async def load(self) -> None:
        """Connect; raises ModelError where the server is not ready."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls else True),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        )
        if not await self.ready():
            await self.close()
            raise ModelError(f"The inference server {self._url} is not ready.")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ready(self, model: str = "", version: str = "") -> bool:
        """Return whether the server, or its model, is ready; False where it does not answer."""
        path = f"{_model_path(model, version)}/ready" if model else "/v2/health/ready"
        try:
            status, _, _ = await self._ask("GET", path, limit_s=CONNECT_S)
        except InferenceError:
            return False
        return status == HTTPStatus.OK

    async def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """Ask the server for a model's metadata, once."""
        known = self._known.get((model, version))
        if known is None:
            known = await self._read_metadata(model, version)
            self._known[model, version] = known
        return known

    async def infer(self, request: InferRequest) -> dict[str, NDArray[Any]]:
        """Send a request; cancelling it closes its connection."""
        check_request(request, await self.metadata(request.model, request.version))
        body, head = encode_request(request)
        headers = {"Content-Type": "application/json"}
        if head is not None:
            headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(head)}
        if request.traceparent:
            headers["traceparent"] = request.traceparent
        limit_s = min(request.timeout_s or MAX_WAIT_S, MAX_WAIT_S) + _SPARE_S
        path = f"{_model_path(request.model, request.version)}/infer"
        status, answer, found = await self._ask("POST", path, body, headers, limit_s=limit_s)
        if status != HTTPStatus.OK:
            raise _error(status, answer, found, self._url)
        length = found.get(HEADER_LENGTH)
        return decode_answer(answer, int(length) if length and length.isdecimal() else None)

    async def _read_metadata(self, model: str, version: str) -> ModelMetadata:
        path = _model_path(model, version)
        status, body, headers = await self._ask("GET", path, limit_s=CONNECT_S)
        if status != HTTPStatus.OK:
            raise _error(status, body, headers, self._url)
        try:
            found = _ModelDescription.model_validate_json(body)
            max_batch = int(found.parameters.get("max_batch", 0)) or _max_batch(found)
        except (ValidationError, ValueError, TypeError) as error:
            raise NotReadyError(
                f"The inference server {self._url} describes model {model} in a way that cannot "
                f"be read: {error}."
            ) from None

        def specs(values: list[_Spec]) -> tuple[TensorSpec, ...]:
            return tuple(TensorSpec(spec.name, spec.datatype, spec.shape) for spec in values)

        return ModelMetadata(
            found.name,
            version or (found.versions[-1] if found.versions else ""),
            found.platform,
            specs(found.inputs),
            specs(found.outputs),
            max_batch,
        )

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        limit_s: float,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        if self._session is None:
            raise NotReadyError("The connection to the inference server is closed.")
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=body or None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=limit_s, connect=CONNECT_S),
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(MAX_ANSWER_BYTES + 1)
                while chunk := await response.content.read(1 << 20):
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise ComputeError(
                            f"The answer of {self._url} is larger than {MAX_ANSWER_BYTES} bytes."
                        )
                return response.status, answer, response.headers
        except TimeoutError:
            raise DeadlineError(
                f"The inference server {self._url} did not answer within {limit_s:g} s."
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise NotReadyError(
                f"The inference server {self._url} cannot be reached: {error}."
            ) from error


def _model_path(model: str, version: str) -> str:
    return f"/v2/models/{model}" + (f"/versions/{version}" if version else "")


def _max_batch(metadata: _ModelDescription) -> int:
    """Return how many rows a server takes that does not say so: see its first dimension."""
    sizes = {spec.shape[0] for spec in metadata.inputs if spec.shape}
    return MAX_ROWS if sizes == {FREE} else max(sizes - {FREE}, default=1)


def _error(status: int, body: bytes, headers: Mapping[str, str], url: str) -> InferenceError:
    text = _text(body) or f"status {status}"
    if status == HTTPStatus.NOT_FOUND or "unknown model" in text:
        return UnknownModelError(text)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (
        # Triton answers 503 to both: a full queue, and a request that waited too long.
        status == HTTPStatus.SERVICE_UNAVAILABLE and "queue" in text.lower()
    ):
        try:
            after_s = float(headers.get("Retry-After", RETRY_AFTER_S))
        except ValueError:
            after_s = RETRY_AFTER_S
        return OverloadedError(text, after_s)
    if status == HTTPStatus.GATEWAY_TIMEOUT or "timeout" in text.lower():
        return DeadlineError(text)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return NotReadyError(text)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidTensorError(text)
    return ComputeError(f"The inference server {url} failed: {text}")


def _text(body: bytes) -> str:
    try:
        found = json.loads(body[:10_000])
    except ValueError:
        return ""
    return str(found.get("error", ""))[:500] if isinstance(found, dict) else ""
