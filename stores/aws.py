"""How a client of S3 or SQS is made: time limits, certificates, retries, timing."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from stores.timing import record_call

ENDPOINT_NEUTRAL_PARAMETERS = ("Key", "Prefix", "CopySource")
"""Parameters of S3's requests on which no address depends."""

RENEW_INTERVAL_S = 5.0
"""Credentials that are refused are read again at most so often."""


@dataclass(frozen=True, slots=True)
class AwsEndpoint:
    """Where S3 or SQS answers. Credentials come from AWS's usual environment or role."""

    region: str
    url: str | None = None
    """Only for services that are not AWS's own."""
    ca_file: str | None = None
    """PEM file of a certificate authority of one's own."""
    read_timeout_s: int = 30
    """How long an answer may take once the request is handed to the system."""
    max_attempts: int = 3
    """Attempts of each request; 1 for whoever tries again by itself."""


class _Session(aioboto3.Session):  # type: ignore[misc]
    """aioboto3's session without the helpers that it adds to each client.

    They move whole files, which nothing here does, and importing them is more than aioboto3 itself
    (docs/design/join.md). Were this no longer asked, they would be back and nothing else.
    """

    def _register_default_handlers(self) -> None:
        return


class _HttpSession(AIOHTTPSession):  # type: ignore[misc]
    """aiobotocore's HTTP session, which also asks whether the certificate is for this host.

    botocore turns that off because urllib3 does it by itself; aiohttp does not, so that any
    valid certificate would do.
    """

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.check_hostname = True
        return context


_CREDENTIAL_ERROR_CODES = {
    "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken",
    "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException",
    "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken",
    "RequestExpired", "AuthFailure",
}  # fmt: skip
"""Codes with which AWS says that it does not take the credentials."""


def credentials_error_text(error: Exception) -> str | None:
    """Return what is wrong with the credentials and what to do, for the end of a sentence; None
    where it is something else.
    """
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code not in _CREDENTIAL_ERROR_CODES:
            return None
        said = f"the credentials are refused ({code})"
    elif isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        said = f"there are no credentials ({error})"
    else:
        return None
    return f"{said}: renew them in AWS's credentials file or provider; they are read again"


def connection_error_text(error: Exception) -> str:
    """Return why no answer came, and what to do about it, for the end of a sentence."""
    if (fault := tls.certificate_error_text(error)) is not None:
        return f"the server is not believed: {fault}; check its address and the CA file"
    return f"it cannot be reached ({error})"


def open_client(
    service: str, endpoint: AwsEndpoint, *, connections: int
) -> AbstractAsyncContextManager[Any]:
    """Return a client context for `service`; it retries three times by itself.

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
        # Fragments carry a SHA-256 of their own, checked at every reading.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=_HttpSession,
    )
    if endpoint.ca_file:
        tls.client_context(endpoint.ca_file)  # to say so at once, rather than at the first request
    return _client(service, endpoint, config)


@asynccontextmanager
async def _client(service: str, endpoint: AwsEndpoint, config: AioConfig) -> AsyncIterator[Any]:
    async with _Session().client(
        service, endpoint_url=endpoint.url, config=config, verify=endpoint.ca_file
    ) as made:
        _time_calls(service, made)
        _cache_endpoints(made)
        yield made


def _cache_endpoints(made: Any) -> None:
    """Let the rules that find a request's address be asked once a bucket, not once a key.

    botocore remembers their answers by all parameters that they may name. S3's declare these, but
    name them nowhere (tests/unit/stores/test_aws.py looks), so that no answer was found again: a
    fifth of the time of a request.
    """
    resolver = getattr(made, "_ruleset_resolver", None)
    for name in ENDPOINT_NEUTRAL_PARAMETERS:
        getattr(resolver, "_param_definitions", {}).pop(name, None)


def _time_calls(service: str, made: Any) -> None:
    """Tell how long each call takes, its retries included; of a reading, up to the first byte."""

    def began(context: dict[str, Any], **_: Any) -> None:
        context["vigil_began"] = time.monotonic()

    def ended(context: dict[str, Any], model: Any, http_response: Any, **_: Any) -> None:
        status = http_response.status_code
        # 404 and 412 are answers to questions that we ask on purpose.
        failed = status >= 500 or status in (400, 403, 429)
        say(context, model.name, "failed" if failed else "ok")

    def broke(context: dict[str, Any], event_name: str, **_: Any) -> None:
        say(context, event_name.rsplit(".", 1)[-1], "failed")

    def say(context: dict[str, Any], operation: str, outcome: str) -> None:
        if (at := context.pop("vigil_began", None)) is not None:
            record_call(service, operation, outcome, time.monotonic() - at)

    events = made.meta.events
    events.register("before-call", began)
    events.register("after-call", ended)
    events.register("after-call-error", broke)


class AwsService:
    """An opened client of one service, as an async context manager safe for many tasks at once."""

    def __init__(self, service: str, endpoint: AwsEndpoint, connections: int) -> None:
        self._service, self._endpoint, self._connections = service, endpoint, connections
        self._stack = AsyncExitStack()
        self._before: AsyncExitStack | None = None
        self._renewing = asyncio.Lock()
        self._renewed_s = 0.0
        self._client: Any = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def _open(self) -> None:
        context = open_client(self._service, self._endpoint, connections=self._connections)
        self._client = await self._stack.enter_async_context(context)

    async def reload_credentials(self) -> None:
        """Read credentials again from their files or provider, at most every few seconds.

        Requests on their way end on the client that they began with.
        """
        async with self._renewing:
            if time.monotonic() - self._renewed_s < RENEW_INTERVAL_S:
                return
            self._renewed_s = time.monotonic()
            older, self._before = self._before, self._stack
            if older is not None:
                await older.aclose()
            self._stack = AsyncExitStack()
            await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._before is not None:
            await self._before.aclose()
        await self._stack.aclose()
