"""What a change of a retention rule would delete, counted before anyone confirms it.

preview   scope, days, at ──► what ends early enough by the new rules ──► digest
confirm   the same again, at the same time: another digest means that something else is deleted

The counts follow the rule in domain/retention.py. A test holds them against a pass of retention.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from domain.retention import (
    DAY_MS,
    LegalHold,
    Margins,
    RetentionPolicy,
    check_scope,
    covers,
)
from stores.catalog.chunk_days import day_ranges
from stores.catalog.pool import Catalog, Connection, Row
from stores.catalog.retention import cameras_with_footage
from stores.catalog.retention_rules import list_holds, load_policy, read_policy


@dataclass(frozen=True, slots=True)
class Footage:
    """An amount of footage. `fragments`: those that are in no chunk. `size_bytes` is of both."""

    chunks: int = 0
    fragments: int = 0
    size_bytes: int = 0

    def with_row(self, row: Row, prefix: str, *, is_chunk: bool) -> "Footage":
        """Return it with the counts of a row whose columns begin with `prefix`."""
        count, size_bytes = row[f"{prefix}count"], row[f"{prefix}bytes"]
        return Footage(
            self.chunks + (count if is_chunk else 0),
            self.fragments + (0 if is_chunk else count),
            self.size_bytes + size_bytes,
        )


@dataclass(frozen=True, slots=True)
class RetentionPreview:
    """What the next pass of retention deletes if a scope's rule becomes `days`. Times: UTC ms."""

    scope: str
    days: int | None
    """None: the scope has no rule of its own."""
    at_ms: int
    """The time by which it was judged what is old enough."""
    days_before: int | None
    """The scope's rule in force. None: it has none of its own."""
    deleted: Footage = field(default_factory=Footage)
    due: Footage = field(default_factory=Footage)
    """The part of `deleted` that the rules in force delete too."""
    held: Footage = field(default_factory=Footage)
    """What legal holds keep, though it is old enough."""
    cameras: tuple[str, ...] = ()
    """Cameras of which something is deleted."""
    oldest_ms: int | None = None
    newest_ms: int | None = None
    """End of the newest footage that is deleted."""
    holds: tuple[int, ...] = ()
    """Numbers of the holds that cover a part of the scope, and time that is old enough."""

    def digest(self, policy: RetentionPolicy) -> str:
        """Return a hash of what is deleted, and of the rules and holds that decide it, in hex."""
        rules = sorted((rule.scope, rule.days) for rule in policy.rules)
        holds = sorted((hold.scope, hold.from_ms, hold.to_ms or 0) for hold in policy.holds)
        concerned = [
            [each for each in known if covers(each[0], self.scope) or covers(self.scope, each[0])]
            for known in (rules, holds)
        ]
        parts = [
            *(self.scope, self.days, self.at_ms),
            *([each.chunks, each.fragments, each.size_bytes] for each in (self.deleted, self.held)),
            *(self.cameras, self.oldest_ms, self.newest_ms, concerned),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


async def preview_rule(
    catalog: Catalog, scope: str, days: int | None, *, at_ms: int
) -> tuple[RetentionPreview, str]:
    """Count what is deleted if a scope's rule becomes `days`, and return its digest too.

    `days` None: the rule is removed. `at_ms`: when (UTC). It reads the index of all footage that is
    old enough: seconds for a tenant with many cameras.
    """
    holds = await list_holds(catalog)
    policy = await load_policy(catalog, Margins(0, 0))
    preview = await _count(catalog, policy, scope, days, at_ms)
    in_the_way = (
        each.id
        for each in holds
        if (covers(each.hold.scope, scope) or covers(scope, each.hold.scope))
        and each.hold.from_ms < at_ms - (DAY_MS if days is None else days * DAY_MS)
    )
    preview = replace(preview, holds=tuple(sorted(in_the_way)))
    return preview, preview.digest(policy)


async def is_unchanged(connection: Connection, preview: RetentionPreview, digest: str) -> bool:
    """Return whether the rules and holds are those of a preview, in the open transaction.

    The caller has locked the rules.
    """
    return preview.digest(await read_policy(connection, Margins(0, 0))) == digest


async def _count(
    catalog: Catalog, policy: RetentionPolicy, scope: str, days: int | None, at_ms: int
) -> RetentionPreview:
    changed = policy.with_rule(check_scope(scope), days)
    ages = {
        camera: (age_ms, policy.age_ms(camera))
        for camera in await cameras_with_footage(catalog)
        if covers(scope, camera) and (age_ms := changed.age_ms(camera)) is not None
    }
    before = {rule.scope: rule.days for rule in policy.rules}.get(scope)
    preview = RetentionPreview(scope, days, at_ms, before)
    if not ages:
        return preview
    cameras = list(ages)
    untils = [at_ms - age_ms for age_ms, _ in ages.values()]
    old_untils = [0 if old_ms is None else at_ms - old_ms for _, old_ms in ages.values()]
    given = (cameras, untils, old_untils, [_hold_row(hold) for hold in policy.holds])
    days_rows = await catalog.rows("retention_preview_days", cameras, max(untils))
    for from_ms, to_ms in day_ranges(row["day_ms"] for row in days_rows):
        rows = await catalog.rows("retention_preview_chunks", *given, from_ms, to_ms)
        preview = _with_rows(preview, rows, is_chunk=True)
    rows = await catalog.rows("retention_preview_fragments", *given)
    return _with_rows(preview, rows, is_chunk=False)


def _hold_row(hold: LegalHold) -> dict[str, object]:
    return {"scope": hold.scope, "from_ms": hold.from_ms, "to_ms": hold.to_ms}


def _with_rows(
    preview: RetentionPreview, rows: Sequence[Row], *, is_chunk: bool
) -> RetentionPreview:
    for row in rows:
        cameras = {*preview.cameras, row["camera"]} if row["count"] else preview.cameras
        oldest = [ms for ms in (preview.oldest_ms, row["oldest_ms"]) if ms is not None]
        newest = [ms for ms in (preview.newest_ms, row["newest_ms"]) if ms is not None]
        preview = replace(
            preview,
            deleted=preview.deleted.with_row(row, "", is_chunk=is_chunk),
            due=preview.due.with_row(row, "due_", is_chunk=is_chunk),
            held=preview.held.with_row(row, "held_", is_chunk=is_chunk),
            cameras=tuple(sorted(cameras)),
            oldest_ms=min(oldest, default=None),
            newest_ms=max(newest, default=None),
        )
    return preview
