"""The audit log in PostgreSQL: entries are added in the transaction of the act.

`write_audit` is the last statement of a transaction: it locks the tenant's chain until that ends.
What fails here fails the act. The pure part is domain/audit.py.
"""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.audit import AuditEntry, SealedEntry, canonical, commitment, numbered
from stores.catalog.pool import Catalog, Connection, sql

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 16
NOTES_KEPT_MS = 600_000
"""Workers whose clocks differ by less write one entry for the same minute."""


async def write_audit(connection: Connection, entry: AuditEntry) -> SealedEntry:
    """Add an entry to its chain, in the open transaction; return it as it is stored.

    Call it last, after all rows are locked: two acts of one tenant wait for each other here.
    """
    hashes: dict[str, str] = {}
    sealed: list[dict[str, str]] = []
    if entry.personal:
        keys = await _keys(connection, entry.chain, (each.subject for each in entry.personal))
        for each in entry.personal:
            salt = os.urandom(SALT_BYTES)
            hashes[each.subject] = commitment(salt, each.fields)
            plain = canonical({"fields": dict(each.fields), "salt": salt.hex()})
            box = seal(keys[each.subject], entry.chain, each.subject, plain.encode())
            sealed.append({"subject": each.subject, "sealed": base64.b64encode(box).decode()})
    body = canonical(entry.body(hashes))
    row = await connection.fetchrow(sql("append_audit"), entry.chain, body, sealed)
    assert row is not None
    return SealedEntry(row["seq"], row["hash"], numbered(body, row["seq"]))


async def write_audits(connection: Connection, entries: Iterable[AuditEntry]) -> None:
    """Add several entries, by chain: transactions that do so lock in one order."""
    for entry in sorted(entries, key=lambda each: each.chain):
        await write_audit(connection, entry)


@dataclass(frozen=True, slots=True)
class AuditNote:
    """The entry of a read or a refusal: one in a minute (UTC ms) for each key (16 bytes)."""

    entry: AuditEntry
    minute_ms: int
    key: bytes


async def write_notes(connection: Connection, notes: Sequence[AuditNote]) -> int:
    """Add the entries that their minutes do not have yet, from any worker; return how many."""
    if not notes:
        return 0
    rows = await connection.fetch(
        sql("note_audit_reads"),
        [each.entry.chain for each in notes],
        [each.minute_ms for each in notes],
        [each.key for each in notes],
    )
    new = {(row["chain"], row["minute_ms"], row["what"]) for row in rows}
    entries = [each.entry for each in notes if (each.entry.chain, each.minute_ms, each.key) in new]
    oldest_ms = max(each.minute_ms for each in notes) - NOTES_KEPT_MS
    await connection.execute(sql("delete_old_audit_reads"), oldest_ms)
    await write_audits(connection, entries)
    return len(entries)


async def record_audit(catalog: Catalog, entry: AuditEntry) -> SealedEntry:
    """Add an entry of an act that changes nothing else, such as a sign-in."""
    async with catalog.transaction() as connection:
        return await write_audit(connection, entry)


async def _keys(connection: Connection, chain: str, subjects: Iterable[str]) -> dict[str, bytes]:
    names = sorted(set(subjects))
    fresh = [os.urandom(KEY_BYTES) for _ in names]
    rows = await connection.fetch(sql("audit_subject_keys"), chain, names, fresh)
    return {row["subject"]: row["key"] for row in rows}


def seal(key: bytes, chain: str, subject: str, plain: bytes) -> bytes:
    """Encrypt personal data with its subject's key; it can be opened for this subject only."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, _bound_to(chain, subject))


def unseal(key: bytes, chain: str, subject: str, sealed: bytes) -> bytes | None:
    """Decrypt personal data; None where it was changed, or is another subject's."""
    nonce, box = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, box, _bound_to(chain, subject))
    except (InvalidTag, ValueError):
        return None


def _bound_to(chain: str, subject: str) -> bytes:
    return f"{chain}\n{subject}".encode()
