"""Which tenants and users were erased, in S3: what a restored database does not know.

    audit/erasures/tenant/acme.json
    audit/erasures/user/0b6c….json

Written once, when an erasure begins. Ids only: no name of a person is in it. It is stored next to
the footage, so losing the database does not lose it.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.errors import ObjectExistsError
from stores.objects import ObjectStore

PREFIX = "audit/erasures/"


@dataclass(frozen=True, slots=True)
class RecordedErasure:
    """One erasure. `subject`: tenant:ID or user:ID. `begun_ms`: UTC."""

    subject: str
    begun_ms: int


class ErasureLedger:
    """Erasures in one bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def add(self, erasure: RecordedErasure) -> None:
        """Record an erasure; the first record of a subject stays. Raises StoreError."""
        data = json.dumps({"begun_ms": erasure.begun_ms, "subject": erasure.subject}).encode()
        try:
            await self._store.put_once(
                f"{PREFIX}{erasure.subject.replace(':', '/', 1)}.json",
                data,
                sha256=hashlib.sha256(data).hexdigest(),
                metadata={},
                content_type="application/json",
            )
        except ObjectExistsError:
            return  # an erasure that goes on, or is repeated

    async def all(self) -> AsyncIterator[RecordedErasure]:
        """Yield all erasures: a LIST for each 1,000, and a GET for each."""
        async for info in self._store.list(PREFIX):
            fields = json.loads(await self._store.get(info.key))
            yield RecordedErasure(str(fields["subject"]), int(fields["begun_ms"]))
