"""Translation of the object store's errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.errors import CredentialsError, ObjectMissingError, StoreError
from stores.aws import connection_error_text, credentials_error_text

_OTHER_REGION = ": the bucket is in another region; configure that region"
_REMEDIES = {
    "RequestTimeTooSkewed": ": this machine's clock is wrong; set it by NTP",
    "AccessDenied": ": these credentials need access to the bucket's objects",
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
}


@asynccontextmanager
async def translate_errors(action: str) -> AsyncIterator[None]:
    """Turn the client's errors into Vigil's; their texts start with the action."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = http_status(error)
        if code in {"404", "NoSuchKey", "NotFound"} or status == 404:
            raise ObjectMissingError(f"{action}: no such object or bucket.") from error
        if (rejected := credentials_error_text(error)) is not None:
            raise CredentialsError(f"{action}: {rejected}.") from error
        remedy = _REMEDIES.get(code, "")
        raise StoreError(f"{action}: the store answered {status} {code}{remedy}.") from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        if (rejected := credentials_error_text(error)) is not None:
            raise CredentialsError(f"{action}: {rejected}.") from error
        raise StoreError(
            f"{action} in the object store: {connection_error_text(error)}."
        ) from error


def http_status(error: ClientError) -> int | None:
    """Return the HTTP status of an error response."""
    status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status
