"""The object store's errors as ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.errors import CredentialsError, ObjectMissingError, StoreError
from stores.aws import connection_error_text, credentials_error_text

_OTHER_REGION = ": the bucket lies in another region, name that one"
_REMEDIES = {
    "RequestTimeTooSkewed": ": this machine's clock is wrong, let NTP set it",
    "AccessDenied": ": allow these credentials the bucket's objects",
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
}


@asynccontextmanager
async def translate_errors(what: str) -> AsyncIterator[None]:
    """Turn the client's errors into ours, naming what was tried."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = http_status(error)
        if code in {"404", "NoSuchKey", "NotFound"} or status == 404:
            raise ObjectMissingError(f"{what}: no such object or bucket.") from error
        if (refused := credentials_error_text(error)) is not None:
            raise CredentialsError(f"{what}: {refused}.") from error
        remedy = _REMEDIES.get(code, "")
        raise StoreError(f"{what}: the store answered {status} {code}{remedy}.") from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        if (refused := credentials_error_text(error)) is not None:
            raise CredentialsError(f"{what}: {refused}.") from error
        raise StoreError(f"{what} in the object store: {connection_error_text(error)}.") from error


def http_status(error: ClientError) -> int | None:
    """Return the HTTP status of an answer."""
    status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status
