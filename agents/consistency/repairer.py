"""Mending what the consistency check found, one camera at a time.

Fragments are announced as the healer does it; windows that the assembler takes for done are
asked of the joiner; rows go through the index functions; deletions are remover.py's.
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
from domain.consistency import (
    Announce,
    AskJoiner,
    DropFragmentRow,
    Inconsistency,
    Reindex,
    Restore,
    RestoreFragment,
    WriteManifest,
)
from domain.errors import ObjectMissingError
from domain.events import ChunkDue, FragmentArrived, FragmentRef, VideoForm
from domain.identity import fragment_key
from domain.times import utc_ms
from stores.catalog import index_chunks
from stores.catalog.row_repair import delete_chunk_row, delete_fragment_rows
from stores.objects import ObjectInfo
from streams.sender import KafkaSender

MOST_ASKED = 1_000
"""Fragments in one request to the joiner; the others come with the next."""


class Repairer:
    """Mends one camera. StoreErrors of S3, Kafka and the catalog pass through."""

    def __init__(self, check: CameraCheck, sender: KafkaSender) -> None:
        self._check, self._sender = check, sender
        self._remover = Remover(check, sender)
        self._healer = Healer(check.store, utc_ms)
        self._asked: list[tuple[Inconsistency, FragmentArrived]] = []

    async def repair(self, finding: Inconsistency) -> list[RepairOutcome]:
        """Repair a finding; returns the outcomes there are now, the others come at the end."""
        if finding.repair is None:
            return [RepairOutcome(finding, False, "cannot be repaired")]
        if self._remover.takes(finding):
            return []
        if isinstance(finding.repair, AskJoiner):
            return await self._ask(finding)
        try:
            return [RepairOutcome(finding, True, await self._done(finding))]
        except LostBytesError as error:
            return [RepairOutcome(finding, False, str(error))]
        except ObjectMissingError:
            return [RepairOutcome(finding, False, "an object went meanwhile; look again")]

    async def finish(self, counts: CheckCounts) -> list[RepairOutcome]:
        """Carry out what was put off; `counts` is all there is of the camera."""
        return [*await self._flush(), *await self._remover.remove(counts)]

    async def _done(self, finding: Inconsistency) -> str:
        check = self._check
        match finding.repair:
            case Announce(run, seq):
                event = await self._event(run, seq)
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
                return "manifest written from its row"
            case DropFragmentRow(run, seq):
                await delete_fragment_rows(check.catalog, check.camera, run, [seq])
                return "row removed"
        raise AssertionError(finding.repair)

    async def _event(self, run: str, seq: int) -> FragmentArrived:
        key = fragment_key(self._check.camera, run, seq)
        event = await self._healer.read_fragment(ObjectInfo(key, 0, {}))
        if event is None:
            raise ObjectMissingError(f"{key} went, or does not say what it is.")
        return event

    # -- fragments that the assembler takes for joined

    def _window(self, event: FragmentArrived) -> tuple[int, int]:
        """Return start (UTC, ms) and length of the window that a fragment belongs to."""
        return self._check.lengths.window(event.start_ms)

    async def _ask(self, finding: Inconsistency) -> list[RepairOutcome]:
        assert isinstance(finding.repair, AskJoiner)
        try:
            event = await self._event(finding.repair.run, finding.repair.seq)
        except ObjectMissingError as error:
            return [RepairOutcome(finding, False, str(error))]
        outcomes = []
        if self._asked:
            last = self._asked[-1][1]
            same = (last.run, self._window(last)) == (event.run, self._window(event))
            if not same or len(self._asked) >= MOST_ASKED:
                outcomes = await self._flush()
        self._asked.append((finding, event))
        return outcomes

    async def _flush(self) -> list[RepairOutcome]:
        if not self._asked:
            return []
        first = self._asked[0][1]
        start_ms, window_ms = self._window(first)
        due = ChunkDue(
            camera=first.camera,
            run=first.run,
            window_start_ms=start_ms,
            window_ms=window_ms,
            reason="late",
            form=VideoForm.model_validate(first.model_dump(include=set(VideoForm.model_fields))),
            fragments=[
                FragmentRef.model_validate(event.model_dump(include=set(FragmentRef.model_fields)))
                for _, event in self._asked
            ],
        )
        await self._sender.send(due)
        outcomes = [
            RepairOutcome(finding, True, "the joiner was asked") for finding, _ in self._asked
        ]
        self._asked = []
        return outcomes
