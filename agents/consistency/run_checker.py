"""Checks fragments: merges each run's objects and rows by seq, both in order."""

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
from domain.device_identity import SignatureError
from domain.errors import InvalidIdError
from domain.identity import check_run
from domain.seqs import SeqRanges
from domain.times import format_ms
from stores import bucket_listing
from stores.catalog import inventory
from stores.object_info import ObjectInfo
from stores.stored_fragment import signed_fragment, whole_fragment

SeqEntry = tuple[int, ObjectInfo | None, IndexedFragment | None]
"""A seq with its object and its row, of which one may be missing."""


class RunChecker:
    """Checks the fragments of one camera. `checked` has the seqs of its checked windows, by run."""

    def __init__(self, check: CameraCheck, checked: Mapping[str, RunSeqs]) -> None:
        self.store = check.store
        self.catalog = check.catalog
        self.camera = check.camera
        self.scope = check.scope
        self.grace = check.grace
        self.lengths = check.lengths
        self._checked = checked
        self._signatures = check.signatures
        self._healer = Healer(self.store, lambda: check.grace.now_ms, signatures=check.signatures)
        self.fragments = 0
        self.rows = 0
        self.in_work = 0

    async def findings(self) -> AsyncIterator[Inconsistency]:
        """Yield what is wrong with fragments that start in the scope."""
        known = await inventory.known_runs(self.catalog, self.camera, self.scope.from_ms)
        names = {name async for name in bucket_listing.runs(self.store, self.camera)}
        for run in sorted(names | known.keys()):
            try:
                check_run(run)
            except InvalidIdError:
                yield self._unknown_object(f"fragments/{self.camera}/{run}/", None)
                continue
            if run in known and known[run].ended_before and run not in self._checked:
                continue  # it ended before the scope
            view = await self._run_view(run)
            async for seq, info, row in self._merge_by_seq(run):
                if seq < 0 and info is not None:
                    yield self._unknown_object(info.key, info)
                    continue
                async for finding in self._check_fragment(view, seq, info, row):
                    yield finding

    async def _run_view(self, run: str) -> RunView:
        scope = self.scope
        elsewhere = (
            await inventory.seqs_in_chunks(
                self.catalog, self.camera, [run], excluding=(scope.from_ms, scope.to_ms)
            )
        ).get(run)
        until_ms = self.grace.now_ms - self.grace.settle_ms
        tombstones = await inventory.deleted_fragments(self.catalog, self.camera, [run], until_ms)
        deleted, just_deleted = tombstones.get(run, (SeqRanges(), SeqRanges()))
        view = RunView(self.camera, run, tombstoned=deleted, just_tombstoned=just_deleted)
        for each in (self._checked.get(run), elsewhere):
            if each is None:
                continue
            view = replace(
                view,
                joined=view.joined | (each.seqs),
                left_out=view.left_out | each.left_out,
                settled=view.settled | each.settled,
                disputed=view.disputed | each.disputed,
            )
        return view

    async def _check_fragment(
        self, view: RunView, seq: int, info: ObjectInfo | None, row: IndexedFragment | None
    ) -> AsyncIterator[Inconsistency]:
        self.fragments += info is not None
        self.rows += row is not None
        if row is not None and not self.scope.from_ms <= row.start_ms < self.scope.to_ms:
            return
        modified_ms = info.modified_ms if info is not None else None
        findings, in_work = check_fragment(view, seq, modified_ms, row, self.grace)
        self.in_work += in_work
        for finding in findings:
            if info is not None and isinstance(finding.repair, Announce | AskJoiner):
                dated = await self._with_time(finding, info)
                if dated is not None:
                    yield dated
            else:
                yield finding

    async def _with_time(self, finding: Inconsistency, info: ObjectInfo) -> Inconsistency | None:
        """Return the finding with the fragment's time, or None if it is not a finding."""
        if (refusal := await self._refusal(info.key)) is not None:
            return replace(finding, kind="fragment-refused", text=refusal, repair=None)
        if finding.kind == "fragment-left-out" and not await whole_fragment(self.store, info.key):
            return None  # its chunk was right to leave it out
        event = await self._healer.read_fragment(info)
        if event is None:
            text = "its object's metadata are missing or wrong"
            return replace(finding, kind="fragment-unreadable", text=text, repair=None)
        if not self.scope.from_ms <= event.start_ms < self.scope.to_ms:
            return None
        joined = await inventory.seqs_in_chunks(self.catalog, self.camera, [event.run])
        if event.run in joined and event.seq in joined[event.run].seqs:
            self.in_work += 1  # its chunk was indexed during the check
            return None
        finding = replace(finding, at_ms=event.start_ms)
        window_ms = self.lengths.at(event.start_ms)
        if await inventory.covering_chunk_deleted(
            self.catalog, self.camera, event.run, event.start_ms, window_ms
        ):
            at = format_ms(event.start_ms)
            text = f"the chunk of its time ({at}) was deleted, but the fragment exists"
            return replace(finding, kind="tombstoned-stands", text=text, repair=None)
        return finding

    async def _refusal(self, key: str) -> str | None:
        """Return why a fragment's signature is not believed; None: it is, or is not needed."""
        try:
            await signed_fragment(self.store, key, self._signatures)
        except SignatureError as error:
            return str(error)
        return None

    async def _merge_by_seq(self, run: str) -> AsyncIterator[SeqEntry]:
        """Yield objects and rows merged by seq. Seq -1: an object that is not a fragment."""
        rows = inventory.fragment_rows(self.catalog, self.camera, run)
        row = await anext(rows, None)
        async for seq, info in bucket_listing.fragments(self.store, self.camera, run):
            if seq is None:
                if not bucket_listing.is_run_end(self.camera, run, info.key):
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

    def _unknown_object(self, key: str, info: ObjectInfo | None) -> Inconsistency:
        old = info is not None and self.grace.is_abandoned(info.modified_ms)
        return Inconsistency(
            "object-unknown",
            self.camera,
            f"{key} is not a fragment",
            key=key,
            repair=Delete(key, tombstoned=False) if old else None,
        )
