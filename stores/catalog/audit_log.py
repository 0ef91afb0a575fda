"""Reading the audit log: pages for auditors, exports for `vigil audit verify`; erasure."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from domain.access import INSTALLATION
from domain.audit import GENESIS
from domain.audit_verify import ExportHeader, end_line, entry_line
from stores.catalog.audit import unseal
from stores.catalog.pool import Catalog, Connection, Row, sql

PAGE = 1_000
FOREVER_MS = 1 << 48

Position = tuple[int, str, int]
"""at_ms, chain and seq of an entry: where a page starts."""
NEWEST: Position = (FOREVER_MS, "", 0)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None: any."""

    from_ms: int = 0
    to_ms: int = FOREVER_MS
    actor: str | None = None
    action: str | None = None
    """key:create, or key for all of its acts."""
    resource: str | None = None
    """A scope with all below it, or another resource."""
    outcome: str | None = None
    chain: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry with its personal data, as far as it is not erased."""

    chain: str
    seq: int
    hash: bytes
    canonical: str
    personal: tuple[dict[str, Any], ...]
    """Subject, fields and salt of each."""

    @property
    def fields(self) -> dict[str, Any]:
        """The entry's fields, as docs/reference/audit.md describes them."""
        found: dict[str, Any] = json.loads(self.canonical)
        return found

    @property
    def position(self) -> Position:
        """Where the next page starts."""
        return self.fields["at_ms"], self.chain, self.seq

    def shown(self) -> dict[str, Any]:
        """Return the entry for people and programs: personal data by subject, null where erased."""
        fields = self.fields
        known = {each["subject"]: each["fields"] for each in self.personal}
        subjects = [each["subject"] for each in fields["personal"]]
        personal = {subject: known.get(subject) for subject in subjects}
        return {**fields, "hash": self.hash.hex(), "personal": personal}


async def find_entries(
    catalog: Catalog,
    scopes: Sequence[str],
    wanted: AuditFilter,
    *,
    before: Position = NEWEST,
    limit: int = PAGE,
) -> list[StoredEntry]:
    """Return entries below `scopes`, newest first."""
    async with catalog.transaction() as connection:
        rows = await connection.fetch(
            sql("list_audit"),
            list(scopes),
            wanted.from_ms,
            wanted.to_ms,
            wanted.actor,
            wanted.action,
            wanted.resource,
            wanted.outcome,
            *before,
            limit,
            wanted.chain,
        )
        return await _with_personal(connection, rows)


async def export_lines(
    catalog: Catalog, chain: str, from_ms: int = 0, to_ms: int = FOREVER_MS
) -> AsyncIterator[str]:
    """Yield the lines of an export: all entries of a chain from the first to the last in a time."""
    row = await catalog.row("audit_range", chain, from_ms, to_ms)
    first, last = (row["first_seq"], row["last_seq"]) if row is not None else (None, None)
    first, last = (1, 0) if first is None or last is None else (first, last)
    previous = (row["previous"] if row is not None else None) or GENESIS
    yield ExportHeader(chain, first, previous, to_ms).line()
    after, count = first - 1, 0
    while after < last:
        async with catalog.transaction() as connection:
            rows = await connection.fetch(sql("audit_entries_after"), chain, after, last, PAGE)
            page = await _with_personal(connection, rows)
        if not page:
            break
        for each in page:
            yield entry_line(each.canonical, each.hash, each.personal)
        after, count = page[-1].seq, count + len(page)
    yield end_line(count, after if count else 0)


async def _with_personal(connection: Connection, rows: Sequence[Row]) -> list[StoredEntry]:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    sealed = await connection.fetch(
        sql("audit_personal"), [row["chain"] for row in rows], [row["seq"] for row in rows]
    )
    for each in sealed:
        plain = unseal(each["key"], each["chain"], each["subject"], each["sealed"])
        if plain is not None:
            opened = {"subject": each["subject"], **json.loads(plain)}
            found.setdefault((each["chain"], each["seq"]), []).append(opened)
    return [
        StoredEntry(
            row["chain"],
            row["seq"],
            row["hash"],
            row["entry"],
            tuple(found.get((row["chain"], row["seq"]), ())),
        )
        for row in rows
    ]


async def list_chains(catalog: Catalog) -> list[tuple[str, int]]:
    """Return all chains, each with the number of its newest entry."""
    return [(row["chain"], row["seq"]) for row in await catalog.rows("audit_chains")]


async def erase_subject(connection: Connection, subject: str, chain: str | None = None) -> int:
    """Destroy the keys of a subject's personal data, in one chain or all; return how many texts.

    The entries stay, and their chains verify as before.
    """
    return int(await connection.fetchval(sql("erase_audit_subject"), subject, chain))


async def erase_chain_personal(connection: Connection, chain: str) -> int:
    """Destroy the keys of all personal data in a tenant's chain; return how many texts."""
    assert chain != INSTALLATION
    return int(await connection.fetchval(sql("erase_audit_chain_personal"), chain))
