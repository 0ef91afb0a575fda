"""Deleting what the consistency check may delete: tombstoned, or unknown for a day.

All deletions of a camera are gathered first. More than half of anything is refused. What is
left is looked at again under the locks of the camera and of the legal holds, so that no row comes
to name it and no hold to keep it meanwhile. Rows go before objects.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agents.consistency.check import CameraCheck, CheckCounts
from domain.consistency import Delete, DropChunkRow, DropFragmentRow, Inconsistency, Retire
from domain.errors import ObjectMissingError
from domain.events import Deleted
from domain.identity import manifest_key, parse_chunk_key, parse_fragment_key
from domain.retention import Margins, Policy
from domain.times import utc_ms
from stores.catalog import index_deleted
from stores.catalog.retention import locked_policy
from stores.catalog.retention_rules import load_policy
from stores.catalog.row_repair import (
    delete_chunk_row,
    delete_fragment_rows,
    referenced_keys,
)
from stores.objects import ObjectInfo
from streams.sender import KafkaSender

MOST = 100_000
"""Deletions gathered of one camera; what is beyond waits for the next check."""
BATCH = 200
LONGEST_CHUNK_MS = 7_200_000
"""A window of an hour, and a fragment of an hour that starts at its end."""
HELD = "a legal hold keeps it"
_MARGINS = Margins(0, 0)  # ages are retention's, not the check's


@dataclass(frozen=True, slots=True)
class RepairOutcome:
    """What became of a finding."""

    finding: Inconsistency
    repaired: bool
    says: str


class Remover:
    """Gathers and carries out the deletions of one camera."""

    def __init__(self, check: CameraCheck, sender: KafkaSender) -> None:
        self._check, self._sender = check, sender
        self._waiting: list[Inconsistency] = []

    def takes(self, finding: Inconsistency) -> bool:
        """Gather a finding that asks for a deletion; False where it does not."""
        mend = finding.repair
        deletes = isinstance(mend, Delete | DropChunkRow | Retire)
        deletes = deletes or (isinstance(mend, DropFragmentRow) and not mend.covered)
        if deletes and len(self._waiting) < MOST:
            self._waiting.append(finding)
        return deletes

    async def remove(self, counts: CheckCounts) -> list[RepairOutcome]:
        """Delete what was gathered; `counts` is all there is of the camera."""
        asked = Counter(_what(finding) for finding in self._waiting)
        stands = {
            "fragments": counts.fragments,
            "chunks": counts.chunk_objects,
            "manifests": counts.manifests,
            "chunk rows": counts.chunk_rows,
            "fragment rows": counts.fragment_rows,
            "other objects": counts.fragments + counts.chunk_objects + counts.manifests,
        }
        outcomes = []
        allowed = []
        for finding in self._waiting:
            what = _what(finding)
            if asked[what] * 2 > stands[what]:
                says = (
                    f"refused: {asked[what]} of {stands[what]} {what} would go, more than half; "
                    "find out why before anything is deleted"
                )
                outcomes.append(RepairOutcome(finding, False, says))
            else:
                allowed.append(finding)
        for finding in allowed:
            if not isinstance(finding.repair, Delete):
                outcomes.append(await self._row(finding))
        objects = [finding for finding in allowed if isinstance(finding.repair, Delete)]
        for start in range(0, len(objects), BATCH):
            outcomes += await self._objects(objects[start : start + BATCH])
        self._waiting = []
        return outcomes

    async def _row(self, finding: Inconsistency) -> RepairOutcome:
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
                if policy.held(check.camera, at_ms, at_ms + LONGEST_CHUNK_MS):
                    return RepairOutcome(finding, False, HELD)
                event = Deleted(
                    camera=check.camera,
                    run=chunk.run,
                    what="chunk",
                    window_start_ms=chunk.window_start_ms,
                    digest=chunk.digest,
                    reason="all its fragments stand in other current chunks",
                    deleted_ms=utc_ms(),
                )
                await self._sender.send(event)
                await index_deleted(check.catalog, [event])
                return RepairOutcome(finding, True, "buried; its object goes with a later --repair")
        raise AssertionError(finding.repair)

    async def _objects(self, findings: Sequence[Inconsistency]) -> list[RepairOutcome]:
        check = self._check
        chunks = {_chunk_of(_key(finding)) for finding in findings}
        outcomes, gone = [], []
        async with locked_policy(check.catalog, check.camera, _MARGINS) as (connection, policy):
            named = await referenced_keys(connection, check.camera, sorted(chunks))
            for finding in findings:
                says = await self._objection(finding, named, policy)
                if says is None:
                    gone.append(_key(finding))
                outcomes.append(RepairOutcome(finding, says is None, says or "deleted"))
            if gone:
                await check.store.delete(gone)
        return outcomes

    async def _objection(
        self, finding: Inconsistency, named: set[str], policy: Policy
    ) -> str | None:
        """Look again; return why an object must stay, or None."""
        mend, store = finding.repair, self._check.store
        assert isinstance(mend, Delete)
        try:
            info = await store.head(mend.key)
        except ObjectMissingError:
            return None  # gone by another hand
        if _chunk_of(mend.key) in named:
            return "a row names it"
        if policy.held(self._check.camera, *_footage(info)):
            return HELD
        if mend.tombstoned:
            return None
        if not self._check.patience.is_abandoned(info.modified_ms):
            return "it was written anew"
        if parse_chunk_key(mend.key) is not None:
            other = manifest_key(mend.key) if mend.key.endswith(".ts") else _chunk_of(mend.key)
            try:
                await store.head(other)
            except ObjectMissingError:
                return None
            return f"{other} stands now"
        return None


def _key(finding: Inconsistency) -> str:
    assert isinstance(finding.repair, Delete)
    return finding.repair.key


def _footage(info: ObjectInfo) -> tuple[int, int]:
    """Return from when to when an object's footage may reach (UTC, ms); all time where unknown."""
    if (chunk := parse_chunk_key(info.key)) is not None:
        return chunk.window_start_ms, chunk.window_start_ms + LONGEST_CHUNK_MS
    try:
        start_ms = int(info.metadata["start-ms"])
        return start_ms, start_ms + int(info.metadata["duration-ms"])
    except (KeyError, ValueError):
        return 0, 1 << 48


def _chunk_of(key: str) -> str:
    return key.removesuffix(".json") + ".ts" if key.endswith(".json") else key


def _what(finding: Inconsistency) -> str:
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
