"""The inference server: the Open Inference Protocol v2, and pictures in Vigil's own words above it.

/v2/…                       tensors in, tensors out: tritonclient works unchanged
/v1/inference/pictures      a JPEG or PNG in, objects out
/healthz, /readyz, /metrics

400  the request is wrong              429  the queue is full, or the quota used: Retry-After
404  there is no such model            503  the model cannot answer now
413  the body is too large             504  the deadline has passed
"""

import asyncio
import hmac
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

from aiohttp import hdrs, web
from cachetools import LRUCache
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.errors import InvalidIdError, MediaError
from domain.events import FoundObject
from domain.identity import check_tenant
from domain.token_bucket import RateBucket, full_bucket
from inference import metrics, oip
from inference.detection import DetectionModel
from inference.engine import InferenceEngine, Priority
from inference.errors import (
    ComputeError,
    DeadlineError,
    InferenceError,
    InvalidTensorError,
    NotReadyError,
    OverloadedError,
    UnknownModelError,
)
from inference.picture_decoder import ClientPictureDecoder
from streams.metrics import REGISTRY, VERSION

TENANT_HEADER = "X-Vigil-Tenant"
"""The tenant of a request; believed, because only Vigil's programs have the token."""
BODY_S = 30.0
"""A request's body must have arrived within this time."""
MAX_TENANTS = 10_000
BURST_S = 2.0
"""A tenant may use the quota of this many seconds at once."""
MAX_TIMEOUT_MS = 60_000
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_STATUS: Sequence[tuple[type[InferenceError], HTTPStatus, str]] = (
    (InvalidTensorError, HTTPStatus.BAD_REQUEST, "invalid"),
    (UnknownModelError, HTTPStatus.NOT_FOUND, "invalid"),
    (OverloadedError, HTTPStatus.TOO_MANY_REQUESTS, "overloaded"),
    (NotReadyError, HTTPStatus.SERVICE_UNAVAILABLE, "not-ready"),
    (DeadlineError, HTTPStatus.GATEWAY_TIMEOUT, "late"),
    (ComputeError, HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
)

log = logging.getLogger(__name__)


class QuotaError(OverloadedError):
    """The tenant sends more pictures a second than it may."""


class InferenceServer:
    """Handlers of all routes; `application` returns them."""

    def __init__(
        self,
        engine: InferenceEngine,
        detectors: Mapping[str, DetectionModel],
        *,
        token: str,
        tenant_pictures_s: float,
        max_body_bytes: int,
    ) -> None:
        """`detectors`: by name; `token`: that clients show, empty: none is asked for."""
        self._engine = engine
        self._detectors = detectors
        self._token = token.encode()
        self._tenant_rate = tenant_pictures_s
        self._max_body_bytes = max_body_bytes
        self._buckets: LRUCache[str, RateBucket] = LRUCache(MAX_TENANTS)
        self._pictures = ClientPictureDecoder()

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application(
            client_max_size=self._max_body_bytes, middlewares=[self._authenticate, _answer_errors]
        )
        add = app.router.add_route
        add("GET", "/healthz", _alive)
        add("GET", "/readyz", self._ready)
        add("GET", "/metrics", _metrics)
        add("GET", "/v2", _server_metadata)
        add("GET", "/v2/health/live", _alive)
        add("GET", "/v2/health/ready", self._ready)
        for path in ("/v2/models/{model:%s}", "/v2/models/{model:%s}/versions/{version:%s}"):
            full = path % ((_NAME,) * path.count("%s"))
            add("GET", full, self._metadata)
            add("GET", f"{full}/ready", self._ready)
            add("POST", f"{full}/infer", self._infer)
        add("POST", "/v1/inference/pictures", self._detect)
        app.on_cleanup.append(self._close)
        app.on_response_prepare.append(_set_headers)
        return app

    async def _close(self, _app: web.Application) -> None:
        await self._pictures.close()

    @web.middleware
    async def _authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        is_probe = request.path in {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
        if self._token and not is_probe:
            kind, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(shown.encode(), self._token):
                return _problem(HTTPStatus.UNAUTHORIZED, "Show the token of this server.")
        return await handler(request)

    async def _ready(self, request: web.Request) -> web.Response:
        names = request.match_info
        ready = await self._engine.ready(names.get("model", ""), names.get("version", ""))
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready}, status=status)

    async def _metadata(self, request: web.Request) -> web.Response:
        metadata = await self._engine.metadata(
            request.match_info["model"], request.match_info.get("version", "")
        )
        return web.json_response(oip.metadata_message(metadata, [metadata.version]))

    async def _infer(self, request: web.Request) -> web.Response:
        model, version = request.match_info["model"], request.match_info.get("version", "")
        tenant = _tenant(request)
        with _RequestCount(model, tenant) as counted:
            body = await _body(request)
            decoded = oip.decode_request(
                body, _header_length(request), model=model, version=version, tenant=tenant,
                traceparent=_traceparent(request),
            )  # fmt: skip
            metadata = await self._engine.metadata(model, version)
            rows = max(
                (len(v) if v.ndim else 1 for v in decoded.request.inputs.values()), default=1
            )
            self._spend(tenant, rows)
            outputs = await self._engine.infer(decoded.request)
            answer, head = oip.encode_answer(metadata, decoded, outputs)
            counted.outcome = "done"
        if head is None:
            return web.Response(body=answer, content_type="application/json")
        return web.Response(
            body=answer,
            content_type="application/octet-stream",
            headers={oip.HEADER_LENGTH: str(head)},
        )

    async def _detect(self, request: web.Request) -> web.Response:
        name = request.query.get("model", "")
        model = self._detectors.get(name or next(iter(self._detectors), ""))
        if model is None:
            known = ", ".join(self._detectors) or "none"
            raise UnknownModelError(f"There is no detector {name!r}. Known: {known}.")
        tenant = _tenant(request)
        with _RequestCount(model.card.name, tenant) as counted:
            self._spend(tenant, 1)
            priority = _priority(request.query.get("priority", "interactive"))
            timeout_s = _timeout_s(request.query.get("timeout_ms"))
            started_s = time.monotonic()
            body = await _body(request)
            spec = model.card.input
            try:
                decoded = await self._pictures.decode(body, spec.width, spec.height)
            except MediaError as error:
                raise InvalidTensorError(f"The picture cannot be used: {error}") from None
            left_s = None
            if timeout_s is not None:
                left_s = timeout_s - (time.monotonic() - started_s)
                if left_s <= 0:
                    raise DeadlineError(f"The picture was not decoded within {timeout_s:g} s.")
            objects = await model.detect(
                decoded.picture,
                priority=priority,
                timeout_s=left_s,
                tenant=tenant,
                traceparent=_traceparent(request),
            )
            counted.outcome = "done"
        return web.json_response(
            {
                "model": model.card.name,
                "model_version": model.card.version,
                "width": decoded.width,
                "height": decoded.height,
                "objects": [
                    FoundObject(label=one.label, score=one.score, box=one.box).model_dump()
                    for one in objects
                ],
            }
        )

    def _spend(self, tenant: str, pictures: int) -> None:
        """Take pictures from a tenant's quota; raises QuotaError."""
        if not tenant:
            return
        now_s = time.monotonic()
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = full_bucket(self._tenant_rate, self._tenant_rate * BURST_S, now_s)
            self._buckets[tenant] = bucket
        # A request larger than the bucket would never be let in: it pays afterwards.
        wait_s = bucket.wait_s(min(pictures, bucket.capacity), now_s)
        if wait_s:
            raise QuotaError(
                f"Tenant {tenant} may have {self._tenant_rate:g} pictures a second analysed.",
                wait_s,
            )
        bucket.spend(max(0.0, pictures - bucket.capacity), now_s)


class _RequestCount:
    """Counts a request by its outcome."""

    def __init__(self, model: str, tenant: str) -> None:
        self._model = model
        self._tenant = tenant
        self.outcome = "failed"

    def __enter__(self) -> "_RequestCount":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, UnknownModelError):
            return  # a stranger's name must not become a label
        if isinstance(error, asyncio.CancelledError):
            self.outcome = "cancelled"
        elif isinstance(error, QuotaError):
            self.outcome = "quota"
        elif error is not None:
            outcomes = [word for kind, _, word in _STATUS if isinstance(error, kind)]
            self.outcome = outcomes[0] if outcomes else "failed"
        metrics.REQUESTS.labels(self._model, self._tenant, self.outcome).inc()


async def _set_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "vigil"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except InferenceError as error:
        status = next((code for kind, code, _ in _STATUS if isinstance(error, kind)),
                      HTTPStatus.INTERNAL_SERVER_ERROR)  # fmt: skip
        headers = {}
        if isinstance(error, OverloadedError):
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
            headers["X-Retry-After-Ms"] = str(max(1, math.ceil(error.retry_after_s * 1_000)))
        return _problem(status, str(error), headers)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _problem(HTTPStatus(error.status), error.text or error.reason)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error. The server's log has the details."
        )


def _problem(
    status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an error as the protocol wants it: one member, `error`."""
    return web.json_response({"error": text}, status=status, headers=headers)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(
            text=f"The request's body did not arrive within {BODY_S:g} s."
        ) from None


def _header_length(request: web.Request) -> int | None:
    text = request.headers.get(oip.HEADER_LENGTH)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise InvalidTensorError(f"{oip.HEADER_LENGTH} is not a number of bytes.")
    return int(text)


def _tenant(request: web.Request) -> str:
    tenant = request.headers.get(TENANT_HEADER, "")
    try:
        return check_tenant(tenant) if tenant else ""
    except InvalidIdError as error:
        raise InvalidTensorError(f"{TENANT_HEADER}: {error}") from None


def _traceparent(request: web.Request) -> str:
    text = request.headers.get("traceparent", "")
    return text if _TRACEPARENT.fullmatch(text) else ""


def _priority(text: str) -> Priority:
    try:
        return Priority[text.upper()]
    except KeyError:
        words = ", ".join(one.name.lower() for one in Priority)
        raise InvalidTensorError(f"priority must be one of {words}.") from None


def _timeout_s(text: str | None) -> float | None:
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MAX_TIMEOUT_MS:
        raise InvalidTensorError(f"timeout_ms must be a number from 1 to {MAX_TIMEOUT_MS}.")
    return int(text) / 1_000


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"live": True})


async def _server_metadata(_request: web.Request) -> web.Response:
    return web.json_response(
        {"name": "vigil", "version": VERSION, "extensions": ["binary_tensor_data"]}
    )


async def _metrics(_request: web.Request) -> web.Response:
    content = generate_latest(REGISTRY)
    return web.Response(body=content, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})
