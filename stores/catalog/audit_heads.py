"""Signed heads of the audit log in S3: outside the database, written once, locked where possible.

    audit/heads/acme/000000000120.json       the head of entry 120 of the tenant acme
    audit/heads/_/000000000007.json          of the installation's own chain
    audit/keys/0123456789abcdef.pem          a public key that signed heads

A head is signed only if the entries since the last one continue from it. So a chain that was
changed gets no new head, and the signer reports it within a minute.
"""

import hashlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from domain.access import INSTALLATION
from domain.audit import GENESIS, chain_hash
from domain.errors import ObjectExistsError
from stores.audit_keys import HeadSigner
from stores.catalog.pool import Catalog, Row, sql
from stores.objects import ObjectStore

HEADS = "audit/heads/"
KEYS = "audit/keys/"
PAGE = 1_000
DAY_MS = 86_400_000

log = logging.getLogger(__name__)


@dataclass
class SigningStats:
    """What one pass did."""

    signed: int = 0
    broken: list[str] = field(default_factory=list)
    """Chains that do not continue from their last signed head."""


def chain_prefix(chain: str) -> str:
    """Return the prefix of a chain's heads."""
    return f"{HEADS}{'_' if chain == INSTALLATION else chain}/"


def head_key(chain: str, seq: int, fork: int | None = None) -> str:
    """Return the key of a head. `fork`: the entry that says that older ones were lost."""
    after = "" if fork is None else f"-{fork:012d}"
    return f"{chain_prefix(chain)}{seq:012d}{after}.json"


@dataclass(frozen=True, slots=True)
class LostBranch:
    """Entries of a chain that were signed, and that PostgreSQL does not have."""

    chain: str
    restored_to: int
    """Number of the newest entry that PostgreSQL has, 0: none."""
    lost_to: int
    """Number of the newest signed entry that it does not have."""
    lost_hash: bytes


async def lost_branches(catalog: Catalog, store: ObjectStore) -> AsyncIterator[LostBranch]:
    """Yield the chains of which S3 has a newer head than PostgreSQL has entries.

    One whose loss an entry explains already is not among them. Run it before new entries are
    written. Raises StoreError.
    """
    known = {row["chain"]: row["seq"] for row in await catalog.rows("audit_chains")}
    async for folder in store.folders(HEADS):
        name = folder.removeprefix(HEADS).rstrip("/")
        chain = INSTALLATION if name == "_" else name
        newest: dict[str, Any] | None = None
        async for info in store.list(folder):
            if int(info.key.removeprefix(folder)[:12]) > known.get(chain, 0):
                newest = json.loads(await store.get(info.key))["head"]
        if newest is None or await catalog.rows("audit_fork", chain, newest["seq"]):
            continue
        yield LostBranch(
            chain, known.get(chain, 0), int(newest["seq"]), bytes.fromhex(newest["hash"])
        )


class HeadWriter:
    """Signs heads and writes them to S3. Where the bucket has Object Lock: for `lock_days`."""

    def __init__(
        self, catalog: Catalog, store: ObjectStore, signer: HeadSigner, lock_days: int
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._signer = signer
        self._lock_days = lock_days

    async def sign_due(self, now_ms: int) -> SigningStats:
        """Sign the head of each chain that has new entries. Safe to repeat, in several processes.

        Raises StoreError where a server fails: the next pass continues.
        """
        stats = SigningStats()
        async with self._catalog.try_advisory_lock("audit-heads") as has_lock:
            due = await self._catalog.rows("unsigned_audit_chains") if has_lock else []
            if not due:
                return stats
            until_ms = None
            if await self._store.has_object_lock():
                until_ms = now_ms + self._lock_days * DAY_MS
            await self._put(f"{KEYS}{self._signer.id}.pem", self._signer.public_pem, until_ms)
            for row in due:
                if await self._sign(row, now_ms, until_ms):
                    stats.signed += 1
                else:
                    stats.broken.append(row["chain"])
        return stats

    async def _sign(self, row: Row, now_ms: int, until_ms: int | None) -> bool:
        """Sign a chain's newest entry. False: its entries are not the ones that were signed."""
        chain, seq, digest = row["chain"], row["seq"], row["hash"]
        if not await _continues(self._catalog, row):
            log.error("the audit log of %s was changed: run `vigil audit verify`", chain)
            return False
        key = head_key(chain, seq)
        if fork := await self._catalog.rows("audit_fork", chain, seq):
            # The database was restored: S3 may have a head of a lost entry of this number.
            key = head_key(chain, seq, fork[0]["seq"])
        try:
            await self._put(key, self._signer.sign(chain, seq, digest, now_ms), until_ms)
        except ObjectExistsError:
            # Signed before, and then this process was killed. Another hash is another history.
            before: dict[str, Any] = json.loads(await self._store.get(key))
            if before.get("head", {}).get("hash") != digest.hex():
                log.error("the audit log of %s is not the one that %s has", chain, key)
                return False
        async with self._catalog.transaction() as connection:
            await connection.execute(sql("note_signed_head"), chain, seq, digest, now_ms)
        return True

    async def _put(self, key: str, data: bytes, until_ms: int | None) -> None:
        await self._store.put_once(
            key,
            data,
            sha256=hashlib.sha256(data).hexdigest(),
            metadata={},
            content_type="application/json" if key.endswith(".json") else "application/x-pem-file",
            lock_until_ms=until_ms,
        )


async def _continues(catalog: Catalog, row: Row) -> bool:
    """Return whether the entries since the last signed head lead to the newest."""
    previous = row["signed_hash"] or GENESIS
    after = row["signed_seq"] or 0
    while after < row["seq"]:
        page = await catalog.rows("audit_entries_after", row["chain"], after, row["seq"], PAGE)
        for each in page:
            previous = chain_hash(previous, each["entry"])
            if each["seq"] != after + 1 or previous != each["hash"]:
                return False
            after = each["seq"]
        if not page:
            return False
    return bool(previous == row["hash"])


async def signed_heads(store: ObjectStore, chain: str) -> AsyncIterator[bytes]:
    """Yield a chain's signed heads, as they were written, by number."""
    async for info in store.list(chain_prefix(chain)):
        yield await store.get(info.key)
