"""The queue for an edge, which only sends: SQS's JSON protocol, signed here.

As stores/queue.py, which the cloud uses, but without aioboto3.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from domain.errors import CredentialsError, RefusedError, StoreError
from stores.aws_credentials import CredentialCache
from stores.aws_endpoint import AwsEndpoint
from stores.aws_errors import (
    AwsResponseError,
    connection_error_text,
    is_sender_fault,
    rejected_credentials_text,
)
from stores.message_batch import RejectedMessage, rejected_messages, text_attributes
from stores.signed_http import HttpResponse, SignedHttpClient

_SEND = "SendMessageBatch"


class SignedQueue(SignedHttpClient):
    """One queue. Use as an async context manager; safe for many tasks at once."""

    def __init__(
        self,
        endpoint: AwsEndpoint,
        url: str,
        *,
        connections: int = 16,
        credentials: CredentialCache | None = None,
    ) -> None:
        super().__init__("sqs", endpoint, connections=connections, credentials=credentials)
        self.url = url

    async def send(
        self, bodies: Sequence[bytes], signatures: Sequence[str | None] | None = None
    ) -> list[RejectedMessage]:
        """Send up to 10 messages (256 KiB together); return those that were rejected.

        `signatures`: one for each body; None: it has none. Raises StoreError where the whole
        request fails; then any of the messages may have arrived.
        Raises RefusedError where its content is at fault.
        """
        entries = [
            {
                "Id": str(at),
                "MessageBody": body.decode(),
                **text_attributes(signature=signatures[at] if signatures else None),
            }
            for at, body in enumerate(bodies)
        ]
        action = f"{_SEND} on the queue {self.url}"
        try:
            answer = await self._call({"QueueUrl": self.url, "Entries": entries})
            return rejected_messages(answer.get("Failed", []))
        except AwsResponseError as error:
            if (rejected := rejected_credentials_text(error.code)) is not None:
                raise CredentialsError(f"{action}: {rejected}.") from error
            kind = RefusedError if is_sender_fault(error.code) else StoreError
            raise kind(f"{action} failed: {error}.") from error
        except CredentialsError as error:
            raise CredentialsError(f"{action}: {error}") from error
        except StoreError as error:
            raise StoreError(f"{action}: {error}") from error
        except (LookupError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise StoreError(f"{action} failed: the server is not an SQS service.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise StoreError(f"{action} failed: {connection_error_text(error)}.") from error

    async def _call(self, arguments: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(arguments).encode()
        response = await self.request(
            _SEND,
            "POST",
            self._endpoint.service_url("sqs") + "/",
            {
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": f"AmazonSQS.{_SEND}",
            },
            body,
            payload_sha256=hashlib.sha256(body).hexdigest(),
        )
        if response.status >= 300:
            raise _error_of(response)
        answer: dict[str, Any] = json.loads(response.body)
        return answer


def _error_of(response: HttpResponse) -> AwsResponseError:
    """Return the error in a response; its code is that of SQS's older query protocol."""
    try:
        fields = json.loads(response.body)
        code, message = str(fields.get("__type", "")), str(fields.get("message", ""))
    except (ValueError, AttributeError):
        code, message = "", ""
    # "AWS.SimpleQueueService.NonExistentQueue;Sender"
    code = response.headers.get("x-amzn-query-error", "").partition(";")[0] or code
    return AwsResponseError(
        response.status, code.rpartition("#")[2] or str(response.status), message[:300]
    )
