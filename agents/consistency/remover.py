"""Deletes what the consistency check may delete: objects with a tombstone, or unknown for a day.

All deletions of a camera are collected first. If they are more than half of a category, they are
refused. Each object is checked again under the advisory locks of the camera and of the legal
holds. So no new row refers to it, and no new hold covers it. Rows are deleted before objects.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agents.consistency.check import CameraCheck, CheckCounts
from domain.consistency import Delete, DropChunkRow, DropFragmentRow, Inconsistency, Retire
from domain.errors import ObjectMissingError
from domain.events import Deleted
from domain.identity import manifest_key, parse_chunk_key, parse_fragment_key
from domain.retention import Margins, RetentionPolicy
from domain.times import utc_ms
from stores.catalog import index_deleted
from stores.catalog.retention import locked_policy
from stores.catalog.retention_rules import load_policy
from stores.catalog.row_repair import (
    delete_chunk_row,
    delete_fragment_rows,
    referenced_keys,
)
from stores.object_info import ObjectInfo
from streams.sender import EventSender

MAX_DELETIONS = 100_000
"""Deletions of one camera in one check. The next check deletes more."""
BATCH = 200
"""Objects that are deleted under one lock."""
LONGEST_CHUNK_MS = 7_200_000
"""A window of an hour, with a fragment of an hour that starts at its end."""
ON_LEGAL_HOLD = "a legal hold covers it"
_MARGINS = Margins(0, 0)  # only retention deletes by age, the check does not


@dataclass(frozen=True, slots=True)
class RepairOutcome:
    """What was done about a finding."""

    finding: Inconsistency
    repaired: bool
    text: str


class Remover:
    """Collects the deletions of one camera, then carries them out."""

    def __init__(self, check: CameraCheck, sender: EventSender) -> None:
        self._check = check
        self._sender = sender
        self._collected: list[Inconsistency] = []

    def accept(self, finding: Inconsistency) -> bool:
        """Collect a finding that needs a deletion. Return False for other findings."""
        repair = finding.repair
        deletes = isinstance(repair, Delete | DropChunkRow | Retire)
        deletes = deletes or (isinstance(repair, DropFragmentRow) and not repair.covered)
        if deletes and len(self._collected) < MAX_DELETIONS:
            self._collected.append(finding)
        return deletes

    async def delete_collected(self, counts: CheckCounts) -> list[RepairOutcome]:
        """Delete what was collected. `counts` are the totals of the camera."""
        to_delete = Counter(_category(finding) for finding in self._collected)
        totals = {
            "fragments": counts.fragments,
            "chunks": counts.chunk_objects,
            "manifests": counts.manifests,
            "chunk rows": counts.chunk_rows,
            "fragment rows": counts.fragment_rows,
            "other objects": counts.fragments + counts.chunk_objects + counts.manifests,
        }
        outcomes = []
        allowed = []
        for finding in self._collected:
            category = _category(finding)
            if to_delete[category] * 2 > totals[category]:
                text = (
                    f"refused: {to_delete[category]} of {totals[category]} {category} would be "
                    "deleted, more than half; find the reason before you delete anything"
                )
                outcomes.append(RepairOutcome(finding, False, text))
            else:
                allowed.append(finding)
        for finding in allowed:
            if not isinstance(finding.repair, Delete):
                outcomes.append(await self._delete_row(finding))
        objects = [finding for finding in allowed if isinstance(finding.repair, Delete)]
        for start in range(0, len(objects), BATCH):
            outcomes += await self._delete_objects(objects[start : start + BATCH])
        self._collected = []
        return outcomes

    async def _delete_row(self, finding: Inconsistency) -> RepairOutcome:
        check = self._check
        match finding.repair:
            case DropChunkRow(row):
                gone = await delete_chunk_row(check.catalog, check.camera, row)
                return RepairOutcome(
                    finding, gone, "row removed" if gone else "the row has changed"
                )
            case DropFragmentRow(run, seq):
                await delete_fragment_rows(check.catalog, check.camera, run, [seq])
                return RepairOutcome(finding, True, "row removed")
            case Retire(chunk):
                at_ms = chunk.window_start_ms
                policy = await load_policy(check.catalog, _MARGINS)
                if policy.is_held(check.camera, at_ms, at_ms + LONGEST_CHUNK_MS):
                    return RepairOutcome(finding, False, ON_LEGAL_HOLD)
                event = Deleted(
                    camera=check.camera,
                    run=chunk.run,
                    what="chunk",
                    window_start_ms=chunk.window_start_ms,
                    digest=chunk.digest,
                    reason="all its fragments are in other current chunks",
                    deleted_ms=utc_ms(),
                )
                await self._sender.send(event)
                await index_deleted(check.catalog, [event])
                return RepairOutcome(
                    finding, True, "tombstone written; a later --repair deletes its object"
                )
        raise AssertionError(finding.repair)

    async def _delete_objects(self, findings: Sequence[Inconsistency]) -> list[RepairOutcome]:
        check = self._check
        chunks = {_chunk_of(_key(finding)) for finding in findings}
        outcomes, gone = [], []
        async with locked_policy(check.catalog, check.camera, _MARGINS) as (connection, policy):
            referenced = await referenced_keys(connection, check.camera, sorted(chunks))
            for finding in findings:
                text = await self._reason_to_keep(finding, referenced, policy)
                if text is None:
                    gone.append(_key(finding))
                outcomes.append(RepairOutcome(finding, text is None, text or "deleted"))
            if gone:
                await check.store.delete(gone)
        return outcomes

    async def _reason_to_keep(
        self, finding: Inconsistency, referenced: set[str], policy: RetentionPolicy
    ) -> str | None:
        """Check an object again; return why it must stay, or None."""
        repair, store = finding.repair, self._check.store
        assert isinstance(repair, Delete)
        try:
            info = await store.head(repair.key)
        except ObjectMissingError:
            return None  # already deleted by someone else
        if _chunk_of(repair.key) in referenced:
            return "a row refers to it"
        if policy.is_held(self._check.camera, *_footage(info)):
            return ON_LEGAL_HOLD
        if repair.tombstoned:
            return None
        if not self._check.grace.is_abandoned(info.modified_ms):
            return "it was written again"
        if parse_chunk_key(repair.key) is not None:
            other = (
                manifest_key(repair.key) if repair.key.endswith(".ts") else _chunk_of(repair.key)
            )
            try:
                await store.head(other)
            except ObjectMissingError:
                return None
            return f"{other} exists now"
        return None


def _key(finding: Inconsistency) -> str:
    assert isinstance(finding.repair, Delete)
    return finding.repair.key


def _footage(info: ObjectInfo) -> tuple[int, int]:
    """Return the time that an object's footage may cover (UTC, ms). All time if unknown."""
    if (chunk := parse_chunk_key(info.key)) is not None:
        return chunk.window_start_ms, chunk.window_start_ms + LONGEST_CHUNK_MS
    try:
        start_ms = int(info.metadata["start-ms"])
        return start_ms, start_ms + int(info.metadata["duration-ms"])
    except (KeyError, ValueError):
        return 0, 1 << 48


def _chunk_of(key: str) -> str:
    return key.removesuffix(".json") + ".ts" if key.endswith(".json") else key


def _category(finding: Inconsistency) -> str:
    match finding.repair:
        case DropChunkRow() | Retire():
            return "chunk rows"
        case DropFragmentRow():
            return "fragment rows"
        case Delete(key) if parse_fragment_key(key) is not None:
            return "fragments"
        case Delete(key) if (name := parse_chunk_key(key)) is not None:
            return "manifests" if name.manifest else "chunks"
    return "other objects"
