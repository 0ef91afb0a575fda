"""The queue between sites and cloud: SQS, or a compatible service."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from domain.device_identity import SIGNATURE
from domain.errors import CredentialsError, RefusedError, StoreError
from stores.aws import AwsService, credentials_error_text
from stores.aws_endpoint import AwsEndpoint
from stores.aws_errors import connection_error_text, is_sender_fault
from stores.message_batch import (
    MAX_BATCH,
    RejectedMessage,
    rejected_messages,
    signature_bytes,
    text_attributes,
)

MAX_REASON_BYTES = 1_000
_ATTRIBUTE_BYTES = len("reason") + len("String")
_INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS does not accept."""


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One received message; `receipt` deletes it."""

    body: bytes
    receipt: str
    receive_count: int
    """How many times it was received, including this time."""
    reason: str | None = None
    """Why it is in the dead-letter queue."""
    signature: str | None = None
    """Of the device that sent it; None: it has none."""
    id: str = ""
    """SQS's message id, the same each time it is received."""


class QueueDepth(NamedTuple):
    """About how many messages a queue has."""

    visible: int
    in_flight: int
    """Received, and neither deleted nor visible again."""


class Queue(AwsService):
    """One queue. Use as an async context manager; safe for many tasks at once."""

    def __init__(self, endpoint: AwsEndpoint, url: str, *, connections: int = 16) -> None:
        super().__init__("sqs", endpoint, connections)
        self.url = url

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await getattr(self._client, operation)(
                QueueUrl=self.url, **arguments
            )
        except ClientError as error:
            if (rejected := credentials_error_text(error)) is not None:
                raise CredentialsError(
                    f"{operation} on the queue {self.url}: {rejected}."
                ) from error
            code = str(error.response.get("Error", {}).get("Code", ""))
            kind = RefusedError if is_sender_fault(code) else StoreError
            raise kind(f"{operation} on the queue {self.url} failed: {error}") from error
        except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
            if (rejected := credentials_error_text(error)) is not None:
                raise CredentialsError(
                    f"{operation} on the queue {self.url}: {rejected}."
                ) from error
            raise StoreError(
                f"{operation} on the queue {self.url} failed: {connection_error_text(error)}."
            ) from error
        return answer

    async def send(
        self,
        bodies: Sequence[bytes],
        signatures: Sequence[str | None] | None = None,
        *,
        reason: str | None = None,
    ) -> list[RejectedMessage]:
        """Send up to 10 messages (256 KiB together); return those that were rejected.

        `signatures` (one for each body) and `reason` are sent as message attributes. Raises
        StoreError where the whole request fails; then any of the messages may have arrived. Raises
        RefusedError where its content is at fault.
        """
        entries = [
            {
                "Id": str(at),
                "MessageBody": body.decode(),
                **text_attributes(reason=reason, signature=signatures[at] if signatures else None),
            }
            for at, body in enumerate(bodies)
        ]
        answer = await self._call("send_message_batch", Entries=entries)
        return rejected_messages(answer.get("Failed", []))

    async def receive(
        self, *, max_messages: int = MAX_BATCH, wait_s: int = 10, visibility_timeout_s: int = 60
    ) -> list[QueueMessage]:
        """Receive up to `max_messages`; wait `wait_s` for the first (long polling)."""
        answer = await self._call(
            "receive_message",
            MaxNumberOfMessages=max_messages,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=visibility_timeout_s,
            AttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["reason", SIGNATURE],
        )
        return [
            QueueMessage(
                message["Body"].encode(),
                message["ReceiptHandle"],
                int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
                _text_attribute(message, "reason"),
                _text_attribute(message, SIGNATURE),
                message.get("MessageId", ""),
            )
            for message in answer.get("Messages", [])
        ]

    async def delete(self, receipts: Sequence[str]) -> None:
        """Delete received messages. One that fails is received again, which is harmless."""
        for start in range(0, len(receipts), MAX_BATCH):
            entries = [
                {"Id": str(at), "ReceiptHandle": receipt}
                for at, receipt in enumerate(receipts[start : start + MAX_BATCH])
            ]
            await self._call("delete_message_batch", Entries=entries)

    async def depth(self) -> QueueDepth:
        """Return about how many messages there are."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._call("get_queue_attributes", AttributeNames=names)
        return QueueDepth(*(int(answer.get("Attributes", {}).get(name, 0)) for name in names))

    async def message_count(self) -> int:
        """Return about how many messages there are, including those in flight."""
        depth = await self.depth()
        return depth.visible + depth.in_flight

    async def make_visible(self, receipts: Sequence[str]) -> None:
        """Make received messages visible again at once. One that fails waits for its timeout."""
        for start in range(0, len(receipts), MAX_BATCH):
            entries = [
                {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for at, receipt in enumerate(receipts[start : start + MAX_BATCH])
            ]
            await self._call("change_message_visibility_batch", Entries=entries)


def _text_attribute(message: Mapping[str, Any], name: str) -> str | None:
    text: str | None = message.get("MessageAttributes", {}).get(name, {}).get("StringValue")
    return text


def fit_message(
    body: bytes, reason: str, max_bytes: int, signature: str | None = None
) -> tuple[bytes, str]:
    """Return body and reason of a message of at most `max_bytes`, as SQS counts them.

    `signature` is sent with it. The reason is shortened first, then the body. A cut body's reason
    says how long it was.
    """
    reason = _INVALID.sub("?", reason) or "?"
    reason = _cut(reason.encode(errors="replace"), min(MAX_REASON_BYTES, max_bytes // 4)).decode()
    room = max_bytes - _ATTRIBUTE_BYTES - len(reason.encode()) - signature_bytes(signature)
    if len(body) > room:
        note = f" (cut from {len(body)} bytes)"
        body = _cut(body, room - len(note))
        reason += note
    return body, reason


def _cut(text: bytes, max_bytes: int) -> bytes:
    """Return the start of UTF-8 text, without a part of a character."""
    return text if len(text) <= max_bytes else text[:max_bytes].decode(errors="ignore").encode()
