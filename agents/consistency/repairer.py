"""Repairs what the consistency check found, one camera at a time.

Fragments are announced as the healer does. Where the assembler counts a window as done, the joiner
is asked directly with `chunk-due`. Rows are written by the index functions, deletions by
remover.py.
"""

from agents.consistency.check import CameraCheck, CheckCounts
from agents.consistency.remover import Remover, RepairOutcome
from agents.consistency.restorer import (
    LostBytesError,
    restore_chunk,
    restore_fragment,
    write_manifest,
)
from agents.healing.healer import Healer
from domain.chunks import gaps_due, late_due
from domain.consistency import (
    Announce,
    AskJoiner,
    AskJoinerForGaps,
    DropFragmentRow,
    Inconsistency,
    Reindex,
    Restore,
    RestoreFragment,
    WriteManifest,
)
from domain.errors import ObjectMissingError
from domain.events import FragmentArrived
from domain.identity import fragment_key
from domain.times import utc_ms
from stores.catalog import index_chunks
from stores.catalog.inventory import chunk_rows
from stores.catalog.row_repair import delete_chunk_row, delete_fragment_rows
from stores.object_info import ObjectInfo
from streams.sender import EventSender

MAX_FRAGMENTS_DUE = 1_000
"""Fragments in one `chunk-due`. More fragments go into the next one."""


class Repairer:
    """Repairs one camera. Raises StoreError if S3, Kafka or the catalog fails."""

    def __init__(self, check: CameraCheck, sender: EventSender) -> None:
        self._check = check
        self._sender = sender
        self._remover = Remover(check, sender)
        self._healer = Healer(check.store, utc_ms, signatures=check.signatures)
        self._for_joiner: list[tuple[Inconsistency, FragmentArrived]] = []

    async def repair(self, finding: Inconsistency) -> list[RepairOutcome]:
        """Repair a finding; return the outcomes known now. `finish` returns the others."""
        if finding.repair is None:
            return [RepairOutcome(finding, False, "cannot be repaired")]
        if self._remover.accept(finding):
            return []
        if isinstance(finding.repair, AskJoiner):
            return await self._collect_for_joiner(finding)
        try:
            return [RepairOutcome(finding, True, await self._apply(finding))]
        except LostBytesError as error:
            return [RepairOutcome(finding, False, str(error))]
        except ObjectMissingError:
            return [RepairOutcome(finding, False, "an object was deleted since: check again")]

    async def finish(self, counts: CheckCounts) -> list[RepairOutcome]:
        """Send and delete what was collected. `counts` are the totals of the camera."""
        return [*await self._send_to_joiner(), *await self._remover.delete_collected(counts)]

    async def _apply(self, finding: Inconsistency) -> str:
        check = self._check
        match finding.repair:
            case Announce(run, seq):
                event = await self._read_event(run, seq)
                await self._sender.send(event)
                return "its event was sent"
            case Reindex(chunk, replaces):
                if replaces is not None:
                    await delete_chunk_row(check.catalog, check.camera, replaces)
                await index_chunks(check.catalog, [chunk], utc_ms())
                return f"revision {chunk.revision} was indexed"
            case Restore(chunk):
                await restore_chunk(check.store, chunk)
                await index_chunks(check.catalog, [chunk], utc_ms())
                return "written again from its fragments"
            case RestoreFragment(chunk, seq):
                await restore_fragment(check.store, chunk, seq)
                return "written again from its chunk"
            case WriteManifest(chunk):
                await write_manifest(check.store, chunk)
                return "manifest written from the row"
            case AskJoinerForGaps(row):
                at_ms = row.window_start_ms
                rows = await chunk_rows(check.catalog, check.camera, at_ms, at_ms + 1)
                for each in rows:
                    if each.id == row and each.chunk is not None:
                        await self._sender.send(gaps_due(each.chunk))
                return "sent to the joiner"
            case DropFragmentRow(run, seq):
                await delete_fragment_rows(check.catalog, check.camera, run, [seq])
                return "row removed"
        raise AssertionError(finding.repair)

    async def _read_event(self, run: str, seq: int) -> FragmentArrived:
        key = fragment_key(self._check.camera, run, seq)
        event = await self._healer.read_fragment(ObjectInfo(key, 0, {}))
        if event is None:
            raise ObjectMissingError(f"{key} was deleted, or its metadata is invalid.")
        return event

    # -- fragments that the assembler counts as joined

    def _window(self, event: FragmentArrived) -> tuple[int, int]:
        """Return start (UTC, ms) and length (ms) of a fragment's window."""
        return self._check.lengths.window(event.start_ms)

    async def _collect_for_joiner(self, finding: Inconsistency) -> list[RepairOutcome]:
        assert isinstance(finding.repair, AskJoiner)
        try:
            event = await self._read_event(finding.repair.run, finding.repair.seq)
        except ObjectMissingError as error:
            return [RepairOutcome(finding, False, str(error))]
        outcomes = []
        if self._for_joiner:
            last = self._for_joiner[-1][1]
            same = (last.run, self._window(last)) == (event.run, self._window(event))
            if not same or len(self._for_joiner) >= MAX_FRAGMENTS_DUE:
                outcomes = await self._send_to_joiner()
        self._for_joiner.append((finding, event))
        return outcomes

    async def _send_to_joiner(self) -> list[RepairOutcome]:
        if not self._for_joiner:
            return []
        first = self._for_joiner[0][1]
        start_ms, window_ms = self._window(first)
        events = [event for _, event in self._for_joiner]
        due = late_due(events, start_ms, window_ms)
        await self._sender.send(due)
        outcomes = [
            RepairOutcome(finding, True, "sent to the joiner") for finding, _ in self._for_joiner
        ]
        self._for_joiner = []
        return outcomes
