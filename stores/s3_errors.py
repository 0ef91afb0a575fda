"""Translation of the object store's errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.errors import CredentialsError, StoreError
from stores.aws import credentials_error_text
from stores.aws_errors import connection_error_text, store_error


@asynccontextmanager
async def translate_errors(action: str) -> AsyncIterator[None]:
    """Turn the client's errors into Vigil's; their texts start with the action."""
    try:
        yield
    except ClientError as error:
        raise store_error(action, http_status(error), error_code(error)) from error
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


def error_code(error: ClientError) -> str:
    """Return S3's code of an error response; the status where it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))
