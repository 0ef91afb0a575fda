"""S3 and SQS in memory, with the interface of stores/, that can die before or after any effect."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence

from domain.errors import ObjectExistsError, ObjectMissingError, RefusedError, StoreError
from stores.message_batch import RejectedMessage
from stores.upload_file import UploadFile


class MemoryCloud:
    """Both at once. `crash_at`: at that operation the process dies, half of the times after it."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.messages: list[bytes] = []
        self.signatures: list[str | None] = []
        """Of the messages."""
        self.log: list[str] = []
        """What happened, in order: object keys, and types of messages."""
        self.operations = 0
        self.crash_at: tuple[int, bool] | None = None
        self.crashed = asyncio.Event()
        self.failing = False
        self.failing_keys: set[str] = set()
        self.answering = asyncio.Event()
        """Cleared: S3 takes requests and answers none, not even later."""
        self.answering.set()
        self.questions = 0
        self.lose_first = 0
        """So many requests to the queue are never answered; every other one arrives."""
        self.refuse_first = 0
        """So many messages are refused one by one."""
        self.poisoned: Callable[[bytes], bool] = lambda body: False
        """Messages that are refused for their own sake,"""
        self.poison_refuses_batch = True
        """and with them the whole request, or else they alone."""

    async def _operation(self, after: bool) -> None:
        if self.crash_at is not None and self.crash_at == (self.operations, after):
            self.crashed.set()
            await asyncio.Event().wait()  # nothing goes on: the process is gone

    async def put_once(
        self,
        key: str,
        data: bytes | UploadFile,
        *,
        sha256: str,
        metadata: Mapping[str, str],
        content_type: str = "video/mp2t",
    ) -> bool:
        """As stores.signed_objects.SignedObjectStore."""
        if isinstance(data, UploadFile):
            data = b"".join(data.blocks())
        self.operations += 1
        await self._operation(False)
        if not self.answering.is_set():
            await asyncio.Event().wait()
        if self.failing or key in self.failing_keys:
            raise StoreError("the store cannot be reached.")
        assert hashlib.sha256(data).hexdigest() == sha256
        existing = self.objects.get(key)
        if existing is not None and existing[0] != data:
            raise ObjectExistsError(f"{key} already exists with other bytes.")
        self.objects[key] = (data, dict(metadata))
        self.log.append(key)
        await self._operation(True)
        return existing is None

    async def is_reachable(self) -> bool:
        """As stores.signed_objects.SignedObjectStore, but that it waits for the answer."""
        self.questions += 1
        await self.answering.wait()
        return True

    async def get(self, key: str) -> bytes:
        """As stores.signed_objects.SignedObjectStore."""
        if key not in self.objects:
            raise ObjectMissingError(key)
        return self.objects[key][0]

    async def send(
        self, bodies: Sequence[bytes], signatures: Sequence[str | None] | None = None
    ) -> list[RejectedMessage]:
        """As stores.signed_queue.SignedQueue."""
        self.operations += 1
        await self._operation(False)
        if self.failing:
            raise StoreError("the queue cannot be reached.")
        if self.lose_first:
            self.lose_first -= 1
            if self.lose_first % 2:
                self.messages += bodies
                self.signatures += signatures or [None] * len(bodies)
            await asyncio.Event().wait()
        assert 1 <= len(bodies) <= 10
        assert sum(map(len, bodies)) <= 256 << 10
        poisoned = [at for at, body in enumerate(bodies) if self.poisoned(body)]
        if poisoned and self.poison_refuses_batch:
            raise RefusedError("SQS says InvalidMessageContents.")
        refused = list(range(min(self.refuse_first, len(bodies))))
        self.refuse_first -= len(refused)
        accepted = [at for at in range(len(bodies)) if at not in refused and at not in poisoned]
        self.messages += [bodies[at] for at in accepted]
        self.signatures += [signatures[at] if signatures else None for at in accepted]
        await self._operation(True)
        return [RejectedMessage(at, at in poisoned, "no") for at in sorted({*refused, *poisoned})]
