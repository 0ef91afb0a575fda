"""AWS credentials for the requests that we sign ourselves (signed_http.py).

From the environment, or from AWS's own chain of files, roles and devices. For the chain, a short
process asks botocore (aws_credentials_process.py): botocore would stay in memory otherwise.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from domain.errors import CredentialsError, StoreError
from domain.times import utc_ms
from stores.aws_errors import no_credentials_text

log = logging.getLogger(__name__)

RENEW_INTERVAL_S = 5.0
"""Rejected credentials are read again at most once in this time."""
RENEW_BEFORE_EXPIRY_MS = 600_000
"""Temporary credentials are replaced this long before they expire."""
_RETRY_S = 60.0
"""How long to use the old ones before the next attempt to replace them."""
_PROCESS_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """An access key, which may be temporary."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_ms: int | None = None
    """UTC ms; None: not known, or never."""


CredentialSource = Callable[[], Awaitable[AwsCredentials]]
"""Reads credentials. Raises CredentialsError where there are none, StoreError for a while."""


class CredentialCache:
    """The credentials in use. They are read at the first request; safe for many tasks at once."""

    def __init__(self, source: CredentialSource | None = None) -> None:
        """`source` None: the environment, or AWS's own chain."""
        self._source = source or read_credentials
        self._credentials: AwsCredentials | None = None
        self._is_stale = False
        """Whether they are to be read again although they are valid."""
        self._read_s = 0.0
        """When they were read last, monotonic clock."""
        self._reloaded_s = 0.0
        self._lock = asyncio.Lock()

    async def get(self) -> AwsCredentials:
        """Return credentials that are valid for a while.

        Raises CredentialsError where there are none, StoreError where they cannot be read in time.
        """
        async with self._lock:
            found = self._credentials
            if found is None:
                return await self._read()
            left_ms = None if found.expires_ms is None else found.expires_ms - utc_ms()
            is_fresh = left_ms is None or left_ms > RENEW_BEFORE_EXPIRY_MS
            if is_fresh and not self._is_stale:
                return found
            if time.monotonic() < self._read_s + _RETRY_S:
                return found
            try:
                return await self._read()
            except StoreError as error:
                if left_ms is not None and left_ms <= 0:
                    raise
                log.warning("AWS credentials cannot be renewed, the old ones are used: %s", error)
                return found

    async def reload(self) -> None:
        """Read them again at the next request; at most every few seconds."""
        if time.monotonic() - self._reloaded_s >= RENEW_INTERVAL_S:
            self._reloaded_s = time.monotonic()
            self._credentials = None

    def forget(self) -> None:
        """Read them again soon: whose they are has changed. From any thread.

        While they cannot be read, those of before are used until they expire.
        """
        self._is_stale = True
        self._read_s = -_RETRY_S

    async def _read(self) -> AwsCredentials:
        self._read_s = time.monotonic()
        self._is_stale, was_stale = False, self._is_stale
        try:
            self._credentials = await self._source()
        except BaseException:
            self._is_stale = was_stale
            raise
        return self._credentials


async def read_credentials() -> AwsCredentials:
    """Return the credentials of the environment or of AWS's own chain.

    Raises CredentialsError where there are none, StoreError where they cannot be read in time.
    """
    return _from_environment() or await _from_chain()


def _from_environment() -> AwsCredentials | None:
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return None
    return AwsCredentials(key, secret, os.environ.get("AWS_SESSION_TOKEN") or None)


async def _from_chain() -> AwsCredentials:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stores.aws_credentials_process",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PROCESS_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise StoreError(
            f"AWS credentials cannot be read: no answer in {_PROCESS_TIMEOUT_S:.0f} s."
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return parse_credentials(output)


def parse_credentials(output: bytes) -> AwsCredentials:
    """Return the credentials in the process's output; raises CredentialsError, StoreError."""
    try:
        fields = json.loads(output)
        if (error := fields.get("Error")) is not None:
            raise CredentialsError(f"{no_credentials_text(error)}.")
        expires = fields.get("Expiration")
        return AwsCredentials(
            fields["AccessKeyId"],
            fields["SecretAccessKey"],
            fields.get("SessionToken"),
            None if expires is None else round(datetime.fromisoformat(expires).timestamp() * 1000),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError("AWS credentials cannot be read: the process for it failed.") from error
