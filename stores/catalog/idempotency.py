"""Idempotency keys: an act that is sent twice is done once, and answered twice.

claim      a row without a status: the request is being answered
keep       the answer, in the transaction of the act
release    nothing was done: the row is deleted, and the key can be used again

A claim whose worker died can be taken over after LEASE_MS. Its token is new then: the first
worker, should it still run, cannot commit.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from domain.errors import VigilError
from stores.catalog.pool import Catalog, Connection, sql

KEPT_MS = 24 * 3_600_000
LEASE_MS = 60_000
"""Longer than any request takes."""
MAX_KEYS = 10_000
"""Keys of one principal within KEPT_MS."""
MAX_BODY = 64 << 10
"""Longer answers are not kept; that the act was done is."""


class LostClaimError(VigilError):
    """Another worker took the claim over: this transaction must not commit."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given. `body` is None where it was too long, or a secret."""

    status: int
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out the act of a key."""

    principal: str
    key_hash: bytes
    token: UUID


Outcome = Claim | KeptAnswer | Literal["in progress", "other request", "too many"]


async def claim_key(
    catalog: Catalog, principal: str, key: str, request_hash: bytes, now_ms: int
) -> Outcome:
    """Claim a key for a request, or return why not: its answer, or what is wrong."""
    # The key itself is not stored: it may be all that protects the answer.
    key_hash = hashlib.sha256(key.encode()).digest()
    token = uuid4()
    async with catalog.transaction() as connection:
        await connection.execute(sql("delete_old_idempotency_keys"), principal, now_ms - KEPT_MS)
        count = await connection.fetchval(
            sql("count_idempotency_keys"), principal, key_hash, MAX_KEYS
        )
        if count >= MAX_KEYS:
            return "too many"
        mine = await connection.fetchval(
            sql("claim_idempotency_key"),
            *(principal, key_hash, request_hash, now_ms, token, now_ms - LEASE_MS),
        )
        if mine:
            return Claim(principal, key_hash, token)
        row = await connection.fetchrow(sql("get_idempotency_key"), principal, key_hash)
    if row is None:  # released between the two statements
        return "in progress"
    if row["request_hash"] != request_hash:
        return "other request"
    if row["status"] is None:
        return "in progress"
    return KeptAnswer(row["status"], row["headers"], row["body"])


async def keep_answer(connection: Connection, claim: Claim, answer: KeptAnswer) -> None:
    """Keep the answer of a claim, in the transaction of its act; raise LostClaimError."""
    kept = await connection.fetchval(
        sql("keep_idempotent_answer"),
        *(claim.principal, claim.key_hash, claim.token),
        *(answer.status, answer.headers, answer.body),
    )
    if not kept:
        raise LostClaimError("The request was taken over by another worker.")


async def release_key(catalog: Catalog, claim: Claim) -> None:
    """Forget a claim whose request did nothing."""
    async with catalog.transaction() as connection:
        await connection.execute(
            sql("release_idempotency_key"), claim.principal, claim.key_hash, claim.token
        )


async def delete_old_keys(catalog: Catalog, now_ms: int) -> int:
    """Delete the keys of all principals that are too old; return how many."""
    async with catalog.transaction() as connection:
        status = await connection.execute(
            sql("delete_old_idempotency_keys"), None, now_ms - KEPT_MS
        )
    return int(status.rsplit(" ", 1)[1])
