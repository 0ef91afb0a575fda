"""Looking at fragments: each run's objects beside its rows, seq by seq, both in order."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from agents.consistency.check import CameraCheck, RunSeqs
from agents.healing.healer import Healer
from domain.consistency import (
    Announce,
    AskJoiner,
    Delete,
    Inconsistency,
    IndexedFragment,
    RunView,
    check_fragment,
)
from domain.errors import InvalidIdError
from domain.identity import check_run
from domain.seqs import SeqRanges
from domain.times import format_ms
from stores import bucket_listing as bucket
from stores.catalog import inventory as index
from stores.objects import ObjectInfo

Side = tuple[int, ObjectInfo | None, IndexedFragment | None]


class RunChecker:
    """Looks at the fragments of one camera; `checked` is what its checked windows hold."""

    def __init__(self, check: CameraCheck, checked: Mapping[str, RunSeqs]) -> None:
        self.store, self.catalog, self.camera = check.store, check.catalog, check.camera
        self.scope, self.patience = check.scope, check.patience
        self.lengths = check.lengths
        self._checked = checked
        self._healer = Healer(self.store, lambda: check.patience.now_ms)
        self.fragments = self.rows = self.in_work = 0

    async def findings(self) -> AsyncIterator[Inconsistency]:
        """Yield what is wrong with fragments that start in the scope."""
        known = await index.known_runs(self.catalog, self.camera, self.scope.from_ms)
        names = {name async for name in bucket.runs(self.store, self.camera)}
        for run in sorted(names | known.keys()):
            try:
                check_run(run)
            except InvalidIdError:
                yield self._unknown(f"fragments/{self.camera}/{run}/", None)
                continue
            if run in known and known[run].ended_before and run not in self._checked:
                continue  # it ended before the scope begins
            view = await self._view(run)
            async for seq, info, row in self._sides(run):
                if seq < 0 and info is not None:
                    yield self._unknown(info.key, info)
                    continue
                async for finding in self._fragment(view, seq, info, row):
                    yield finding

    async def _view(self, run: str) -> RunView:
        scope = self.scope
        elsewhere = (
            await index.seqs_in_chunks(
                self.catalog, self.camera, [run], but=(scope.from_ms, scope.to_ms)
            )
        ).get(run)
        until_ms = self.patience.now_ms - self.patience.settle_ms
        graves = await index.deleted_fragments(self.catalog, self.camera, [run], until_ms)
        buried, dying = graves.get(run, (SeqRanges(), SeqRanges()))
        view = RunView(self.camera, run, tombstoned=buried, just_tombstoned=dying)
        for each in (self._checked.get(run), elsewhere):
            if each is None:
                continue
            view = replace(
                view,
                joined=view.joined | (each.seqs),
                left_out=view.left_out | each.left_out,
                settled=view.settled | each.settled,
            )
        return view

    async def _fragment(
        self, view: RunView, seq: int, info: ObjectInfo | None, row: IndexedFragment | None
    ) -> AsyncIterator[Inconsistency]:
        self.fragments += info is not None
        self.rows += row is not None
        if row is not None and not self.scope.from_ms <= row.start_ms < self.scope.to_ms:
            return
        modified_ms = info.modified_ms if info is not None else None
        findings, in_work = check_fragment(view, seq, modified_ms, row, self.patience)
        self.in_work += in_work
        for finding in findings:
            if info is not None and isinstance(finding.repair, Announce | AskJoiner):
                placed = await self._placed(finding, info)
                if placed is not None:
                    yield placed
            else:
                yield finding

    async def _placed(self, finding: Inconsistency, info: ObjectInfo) -> Inconsistency | None:
        """Return the finding with the fragment's time, or None where it is none after all."""
        event = await self._healer.read_fragment(info)
        if event is None:
            says = "its object's metadata does not say which fragment it is, or says it wrongly"
            return replace(finding, kind="fragment-unreadable", text=says, repair=None)
        if not self.scope.from_ms <= event.start_ms < self.scope.to_ms:
            return None
        held = await index.seqs_in_chunks(self.catalog, self.camera, [event.run])
        if event.run in held and event.seq in held[event.run].seqs:
            self.in_work += 1  # its chunk came while it was looked for
            return None
        finding = replace(finding, at_ms=event.start_ms)
        window_ms = self.lengths.at(event.start_ms)
        if await index.covering_chunk_deleted(
            self.catalog, self.camera, event.run, event.start_ms, window_ms
        ):
            says = f"the chunk of its time ({format_ms(event.start_ms)}) was deleted; it stands"
            return replace(finding, kind="tombstoned-stands", text=says, repair=None)
        return finding

    async def _sides(self, run: str) -> AsyncIterator[Side]:
        """Yield objects and rows side by side, by seq; seq -1 for an object that is neither."""
        rows = index.fragment_rows(self.catalog, self.camera, run)
        row = await anext(rows, None)
        async for seq, info in bucket.fragments(self.store, self.camera, run):
            if seq is None:
                if not bucket.is_run_end(self.camera, run, info.key):
                    yield -1, info, None
                continue
            while row is not None and row.seq < seq:
                yield row.seq, None, row
                row = await anext(rows, None)
            if row is not None and row.seq == seq:
                yield seq, info, row
                row = await anext(rows, None)
            else:
                yield seq, info, None
        while row is not None:
            yield row.seq, None, row
            row = await anext(rows, None)

    def _unknown(self, key: str, info: ObjectInfo | None) -> Inconsistency:
        old = info is not None and self.patience.is_abandoned(info.modified_ms)
        return Inconsistency(
            "object-unknown",
            self.camera,
            f"{key} is no fragment",
            key=key,
            repair=Delete(key, tombstoned=False) if old else None,
        )
