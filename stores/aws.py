"""Clients of S3 and SQS: timeouts, certificates, retries, credentials, call metrics."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)

from stores import tls
from stores.aws_credentials import RENEW_INTERVAL_S
from stores.aws_endpoint import AwsEndpoint
from stores.aws_errors import no_credentials_text, rejected_credentials_text
from stores.timing import record_call

ENDPOINT_NEUTRAL_PARAMETERS = ("Key", "Prefix", "CopySource")
"""Parameters of S3 requests that have no influence on the endpoint."""


class _Session(aioboto3.Session):  # type: ignore[misc]
    """aioboto3's session without the file transfer helpers that it adds to each client.

    We do not use them, and importing them costs more than aioboto3 itself (docs/design/join.md).
    If aioboto3 stops calling this method, they come back; nothing else changes.
    """

    def _register_default_handlers(self) -> None:
        return


class _HttpSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's HTTP session, which also checks the host name in the certificate.

    botocore turns that check off because urllib3 has its own. aiohttp has none, so it would accept
    any valid certificate.
    """

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.check_hostname = True
        return context


def credentials_error_text(error: Exception) -> str | None:
    """Return what is wrong with the credentials and what to do, for the end of a sentence.

    None where the error is another one.
    """
    if isinstance(error, ClientError):
        return rejected_credentials_text(str(error.response.get("Error", {}).get("Code", "")))
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return no_credentials_text(error)
    return None


def open_client(
    service: str, endpoint: AwsEndpoint, *, connections: int
) -> AbstractAsyncContextManager[Any]:
    """Return a client context for `service`; it retries by `endpoint.max_attempts`.

    Raises ConfigError where the CA file cannot be used.
    """
    config = AioConfig(
        region_name=endpoint.region,
        connect_timeout=5,
        read_timeout=endpoint.read_timeout_s,
        retries={"mode": "standard", "max_attempts": endpoint.max_attempts},
        max_pool_connections=connections,
        tcp_keepalive=True,
        s3={"addressing_style": "path" if endpoint.url else "auto"},
        # Fragments have their own SHA-256, which every reader checks.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=_HttpSession,
    )
    if endpoint.ca_file:
        tls.client_context(endpoint.ca_file)  # fail now, not at the first request
    return _client(service, endpoint, config)


@asynccontextmanager
async def _client(service: str, endpoint: AwsEndpoint, config: AioConfig) -> AsyncIterator[Any]:
    async with _Session().client(
        service, endpoint_url=endpoint.url, config=config, verify=endpoint.ca_file
    ) as opened:
        _time_calls(service, opened)
        _cache_endpoints(opened)
        yield opened


def _cache_endpoints(client: Any) -> None:
    """Let botocore cache endpoints by bucket, not by key.

    botocore caches an endpoint by all parameters that its rules declare. S3's rules declare these
    but do not use them (tests/unit/stores/test_aws.py checks that). With them no cached endpoint
    is ever found again, which costs a fifth of a request's time.
    """
    resolver = getattr(client, "_ruleset_resolver", None)
    for name in ENDPOINT_NEUTRAL_PARAMETERS:
        getattr(resolver, "_param_definitions", {}).pop(name, None)


def _time_calls(service: str, client: Any) -> None:
    """Record how long each call takes, with its retries; of a download, up to the first byte."""

    def on_start(context: dict[str, Any], **_: Any) -> None:
        context["vigil_start_s"] = time.monotonic()

    def on_response(context: dict[str, Any], model: Any, http_response: Any, **_: Any) -> None:
        status = http_response.status_code
        # 404 and 412 are expected: we ask whether an object exists.
        failed = status >= 500 or status in (400, 403, 429)
        record(context, model.name, "failed" if failed else "ok")

    def on_error(context: dict[str, Any], event_name: str, **_: Any) -> None:
        record(context, event_name.rsplit(".", 1)[-1], "failed")

    def record(context: dict[str, Any], operation: str, outcome: str) -> None:
        if (start_s := context.pop("vigil_start_s", None)) is not None:
            record_call(service, operation, outcome, time.monotonic() - start_s)

    events = client.meta.events
    events.register("before-call", on_start)
    events.register("after-call", on_response)
    events.register("after-call-error", on_error)


class AwsService:
    """A client of one service: an async context manager, safe for many tasks at once."""

    def __init__(self, service: str, endpoint: AwsEndpoint, connections: int) -> None:
        self._service = service
        self._endpoint = endpoint
        self._connections = connections
        self._stack = AsyncExitStack()
        self._previous: AsyncExitStack | None = None
        self._reload_lock = asyncio.Lock()
        self._reloaded_s = 0.0
        self._client: Any = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def _open(self) -> None:
        context = open_client(self._service, self._endpoint, connections=self._connections)
        self._client = await self._stack.enter_async_context(context)

    async def reload_credentials(self) -> None:
        """Read credentials again from their files or provider, at most every few seconds.

        Requests in flight finish on the previous client.
        """
        async with self._reload_lock:
            if time.monotonic() - self._reloaded_s < RENEW_INTERVAL_S:
                return
            self._reloaded_s = time.monotonic()
            # Two clients: the previous one still serves requests in flight. Close the one before.
            oldest = self._previous
            self._previous = self._stack
            if oldest is not None:
                await oldest.aclose()
            self._stack = AsyncExitStack()
            await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            await self._previous.aclose()
        await self._stack.aclose()
