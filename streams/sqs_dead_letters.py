"""Dead letters in SQS: what the relay rejected. Receiving is the only way to see them.

A message that was received is hidden from others for a while; the reader makes it visible again.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from domain.errors import ConfigError, StoreError
from domain.events import DeadLetter
from domain.times import utc_ms
from stores.queue import Queue, QueueMessage
from streams.codec import MAX_ORIGINAL_BYTES
from streams.dead_letters import DeadLetters

ID_PREFIX = "sqs:"
"""What the names of these letters begin with in commands."""
HIDDEN_S = 120
MOST = 10_000


@asynccontextmanager
async def received_messages(queue: Queue, *, most: int = MOST) -> AsyncIterator[list[QueueMessage]]:
    """Receive all (at most `most`) messages; those that are left become visible again afterwards.

    Raises StoreError where the queue fails; what was received then shows by itself.
    """
    seen: dict[str, QueueMessage] = {}
    try:
        quiet = 0
        while len(seen) < most and quiet < 2:  # SQS may answer with nothing though there is some
            messages = await queue.receive(wait_s=1, visibility_timeout_s=HIDDEN_S)
            new = [message for message in messages if message.id not in seen]
            quiet = 0 if new else quiet + 1
            seen |= {message.id: message for message in messages}
        yield list(seen.values())
    finally:
        await queue.make_visible([message.receipt for message in seen.values()])


async def resolve(
    dead: Queue,
    messages: Sequence[QueueMessage],
    did: Literal["retried", "dropped"],
    letters: DeadLetters,
    *,
    to: Queue | None = None,
) -> None:
    """Send messages to the queue `to` again, if given, keep them in Kafka as done, delete them.

    In this order: after a crash in between a message is still there, and may be sent twice.
    """
    for message in messages:
        if to is not None and await to.send([message.body], [message.signature]):
            raise StoreError(f"{to.url} rejected message {message.id}; it stays a dead letter.")
        await letters.keep(
            DeadLetter(
                source=dead.url[-250:],
                partition=None,
                offset=None,
                message_key=None,
                reason=(message.reason or "unknown")[:500],
                at_ms=utc_ms(),
                original_base64=base64.b64encode(message.body[:MAX_ORIGINAL_BYTES]).decode(),
            ),
            did,
        )
        await dead.delete([message.receipt])


def select(messages: Sequence[QueueMessage], ids: Sequence[str]) -> list[QueueMessage]:
    """Return the messages with these names; ConfigError if one does not exist."""
    by_id = {ID_PREFIX + message.id: message for message in messages}
    for name in ids:
        if name not in by_id:
            raise ConfigError(
                f"There is no dead letter {name} in the queue now; another process may be reading "
                "it. `vigil dlq list` shows all."
            )
    return [by_id[name] for name in dict.fromkeys(ids)]
