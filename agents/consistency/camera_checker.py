"""Compares S3 with the catalog, one camera and one day at a time.

    for each day      rows, then objects and manifests, window by window    -> check_window
    for each run      its objects and its rows, merged by seq               -> check_fragment

Memory holds one day's chunk rows, one window's manifests, and the seqs of each run as ranges.
The rules are in domain/consistency/. Nothing is changed here.
"""

from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import ValidationError

from agents.consistency.check import CameraCheck, CheckCounts, RunSeqs
from agents.consistency.chunk_bytes import check_bytes
from agents.consistency.run_checker import RunChecker
from domain.consistency import (
    AskJoinerForGaps,
    CurrentChunk,
    Delete,
    DropChunkRow,
    Inconsistency,
    IndexedChunk,
    Reindex,
    Restore,
    Retire,
    RowId,
    StoredManifest,
    WindowReport,
    WindowView,
    check_window,
    disputed_seqs,
    duplicates,
    unusable_seqs,
)
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete
from domain.identity import parse_chunk_key
from domain.seqs import SeqRanges
from stores import bucket_listing
from stores.catalog import inventory
from stores.object_info import ObjectInfo
from stores.stored_manifest import read_manifest

DAY_MS = bucket_listing.DAY_MS
LONGEST_WINDOW_MS = 3_600_000


class CameraChecker:
    """Checks one camera, once."""

    def __init__(self, check: CameraCheck) -> None:
        self.check = check
        self.store = check.store
        self.catalog = check.catalog
        self.camera = check.camera
        self.scope = check.scope
        self.grace = check.grace
        self.counts = CheckCounts(cameras=1)
        self.runs: dict[str, RunSeqs] = {}
        self._recent: list[CurrentChunk] = []
        self._with_gaps: list[tuple[RowId, str, SeqRanges]] = []
        """Chunks that report gaps: which, its key, the missing seqs."""
        self._rows_without_object: list[tuple[Inconsistency, IndexedChunk]] = []
        self._first: ChunkComplete | None = None
        self._last: ChunkComplete | None = None

    async def findings(self) -> AsyncIterator[Inconsistency]:
        """Yield what is wrong. Raises StoreError if S3 or the catalog fails."""
        scope = self.scope
        in_s3 = await bucket_listing.chunk_days(self.store, self.camera, scope.from_ms, scope.to_ms)
        in_catalog = await inventory.chunk_days(
            self.catalog, self.camera, scope.from_ms, scope.to_ms
        )
        for day_ms in sorted({*in_s3, *in_catalog}):
            self.counts.days += 1
            async for finding in self._check_day(day_ms):
                yield finding
        for finding in self._duplicates(last=True):
            yield finding
        for finding, row in self._rows_without_object:
            yield self._judge_row_without_object(finding, row)
        for finding in self._filled_gaps():
            yield finding
        for finding in await self._check_footage_extent():
            yield finding
        runs = RunChecker(self.check, self.runs)
        async for finding in runs.findings():
            yield finding
        self.counts.fragments += runs.fragments
        self.counts.fragment_rows += runs.rows
        self.counts.in_work += runs.in_work

    # -- a day

    async def _check_day(self, day_ms: int) -> AsyncIterator[Inconsistency]:
        from_ms = max(day_ms, self.scope.from_ms)
        to_ms = min(day_ms + DAY_MS, self.scope.to_ms)
        unmatched: dict[int, dict[str, IndexedChunk]] = {}
        for row in await inventory.chunk_rows(self.catalog, self.camera, from_ms, to_ms):
            unmatched.setdefault(row.id.window_start_ms, {})[row.id.run] = row
        deleted_ms = _deletion_times(
            await inventory.chunk_tombstones(self.catalog, self.camera, from_ms, to_ms)
        )
        async for group in bucket_listing.objects_by_window(self.store, self.camera, day_ms):
            by_run: dict[str, list[ObjectInfo]] = {}
            start_ms = None
            for info in group:
                name = parse_chunk_key(info.key)
                if name is None or name.camera != self.camera:
                    yield self._unknown_object(info)
                    continue
                start_ms = name.window_start_ms
                by_run.setdefault(name.run, []).append(info)
            if start_ms is None or not from_ms <= start_ms < to_ms:
                continue
            rows = unmatched.pop(start_ms, {})
            for run in sorted(by_run.keys() | rows.keys()):
                infos = by_run.get(run, [])
                row_or_none = rows.get(run)
                async for finding in self._check_window(
                    run, start_ms, infos, row_or_none, deleted_ms
                ):
                    yield finding
        for start_ms, rows in sorted(unmatched.items()):
            for run, row in rows.items():
                async for finding in self._check_window(run, start_ms, [], row, deleted_ms):
                    yield finding
        for finding in self._duplicates(last=False):
            yield finding

    async def _check_window(
        self,
        run: str,
        start_ms: int,
        infos: Sequence[ObjectInfo],
        row: IndexedChunk | None,
        deleted_ms: Callable[[str, int, str], int | None],
    ) -> AsyncIterator[Inconsistency]:
        verdict = await self._judge(run, start_ms, infos, row, deleted_ms)
        if verdict.findings:
            # The window may have changed between reading the rows and listing S3: read both again.
            rows = await inventory.chunk_rows(self.catalog, self.camera, start_ms, start_ms + 1)
            row = next((each for each in rows if each.id.run == run), None)
            tombstones = await inventory.chunk_tombstones(
                self.catalog, self.camera, start_ms, start_ms + 1
            )
            infos = [
                info
                async for info in bucket_listing.objects_of_window(
                    self.store, self.camera, run, start_ms
                )
            ]
            verdict = await self._judge(run, start_ms, infos, row, _deletion_times(tombstones))
        self.counts.in_work += verdict.pending
        objects = sum(map(_is_chunk, infos))
        self.counts.chunk_objects += objects
        self.counts.manifests += len(infos) - objects
        self.counts.chunk_rows += row is not None
        self._remember(run, verdict, row)
        for finding in verdict.findings:
            if finding.kind == "row-without-object" and row and isinstance(finding.repair, Restore):
                # Judged at the end, when the seqs of all windows are known.
                self._rows_without_object.append((finding, row))
            else:
                yield finding
        if self.scope.bytes:
            sizes = {info.key: info.size_bytes for info in infos}
            for chunk in verdict.current:
                if sizes.get(chunk.object_key) != chunk.size_bytes:
                    continue  # already reported
                async for finding in check_bytes(self.store, chunk):
                    yield finding
                self.counts.bytes_read += chunk.size_bytes

    async def _judge(
        self,
        run: str,
        start_ms: int,
        infos: Sequence[ObjectInfo],
        row: IndexedChunk | None,
        deleted_ms: Callable[[str, int, str], int | None],
    ) -> WindowReport:
        view = WindowView(
            self.camera,
            run,
            start_ms,
            {each.key: (each.size_bytes, each.modified_ms) for each in infos if _is_chunk(each)},
            {each.key: await self._read_manifest(each) for each in infos if not _is_chunk(each)},
            row,
        )
        return check_window(view, lambda digest: deleted_ms(run, start_ms, digest), self.grace)

    async def _read_manifest(self, info: ObjectInfo) -> StoredManifest:
        try:
            chunk = (await read_manifest(self.store, info.key)).chunk
        except (ValidationError, ObjectMissingError):
            return StoredManifest(info.modified_ms, None)
        return StoredManifest(info.modified_ms, chunk, inventory.derived(chunk))

    def _remember(self, run: str, verdict: WindowReport, row: IndexedChunk | None) -> None:
        known = self.runs.setdefault(run, RunSeqs())
        for chunk in verdict.current:
            self.counts.chunks += 1
            current = CurrentChunk.of(chunk)
            self._recent.append(current)
            known.seqs |= current.seqs
            known.left_out |= unusable_seqs(chunk)
            known.disputed |= disputed_seqs(chunk)
            known.newest_ms = max(known.newest_ms, chunk.joined_ms)
            if chunk.gaps:
                missing = SeqRanges((gap.first_seq, gap.last_seq) for gap in chunk.gaps)
                self._with_gaps.append((current.id, current.key, missing))
            if self._first is None or chunk.start_ms < self._first.start_ms:
                self._first = chunk
            if self._last is None or chunk.end_ms > self._last.end_ms:
                self._last = chunk
        if row is not None:
            settled = SeqRanges((first, end - 1) for first, end in row.derived.settled)
            known.settled |= settled

    # -- checks over more than one window

    def _duplicates(self, *, last: bool) -> list[Inconsistency]:
        """Return fragments in two current chunks. Chunks of the last hour wait for the next day."""
        newest = max((each.id.window_start_ms for each in self._recent), default=0)
        until_ms = newest + 1 if last else newest - LONGEST_WINDOW_MS
        found = []
        for chunk, shared, can_go in duplicates(self._recent):
            if not last and chunk.id.window_start_ms >= until_ms:
                continue
            seqs = ", ".join(f"{first} to {end}" for first, end in shared.ranges[:5])
            text = f"fragments {seqs} of {chunk.key} are also in another current chunk"
            found.append(
                Inconsistency(
                    "fragment-doubled",
                    self.camera,
                    text,
                    run=chunk.id.run,
                    seq=shared.ranges[0][0],
                    at_ms=chunk.id.window_start_ms,
                    key=chunk.key,
                    repair=Retire(chunk.id) if can_go else None,
                )
            )
        self._recent = [each for each in self._recent if each.id.window_start_ms >= until_ms]
        return found

    def _judge_row_without_object(self, finding: Inconsistency, row: IndexedChunk) -> Inconsistency:
        """Allow to delete a row without object if other chunks hold all its fragments."""
        seqs = SeqRanges((first, end - 1) for first, end in row.derived.seqs)
        known = self.runs[row.id.run]
        if all(not known.seqs.missing(*pair) for pair in seqs.ranges):
            text = f"{finding.text}; other chunks hold all its fragments"
            return Inconsistency(
                finding.kind,
                self.camera,
                text,
                run=finding.run,
                at_ms=finding.at_ms,
                key=finding.key,
                repair=DropChunkRow(row.id),
            )
        known.seqs |= seqs  # reported here, not again for each fragment
        return finding

    def _filled_gaps(self) -> list[Inconsistency]:
        """Return the chunks that report as missing what another chunk of the check holds."""
        found = []
        for identity, key, missing in self._with_gaps:
            run = self.runs[identity.run]
            filled = [part for pair in missing.ranges for part in run.seqs.within(*pair).ranges]
            if filled and self.grace.is_recent(run.newest_ms):
                self.counts.in_work += 1
            elif filled:
                seqs = ", ".join(f"{first} to {last}" for first, last in filled[:5])
                text = f"{key} reports fragments {seqs} as missing, which another chunk holds"
                found.append(
                    Inconsistency(
                        "gap-filled",
                        self.camera,
                        text,
                        run=identity.run,
                        seq=filled[0][0],
                        at_ms=identity.window_start_ms,
                        key=key,
                        repair=AskJoinerForGaps(identity),
                    )
                )
        return found

    async def _check_footage_extent(self) -> list[Inconsistency]:
        """Compare the footage extent in the catalog with the first and the last chunk."""
        if self._first is None or self._last is None:
            return []
        if self.grace.is_recent(self._last.joined_ms):
            return []
        extent = await inventory.footage_extent(self.catalog, self.camera)
        if extent and extent[0] <= self._first.start_ms and extent[1] >= self._last.end_ms:
            return []
        chunk = self._last if not extent or extent[1] < self._last.end_ms else self._first
        text = "in the catalog, the camera's footage begins later or ends earlier than its chunks"
        identity = RowId(chunk.window_start_ms, chunk.run, chunk.revision, chunk.digest)
        return [
            Inconsistency(
                "coverage-differs",
                self.camera,
                text,
                run=chunk.run,
                at_ms=chunk.window_start_ms,
                repair=Reindex(chunk, identity),
            )
        ]

    def _unknown_object(self, info: ObjectInfo) -> Inconsistency:
        old = self.grace.is_abandoned(info.modified_ms)
        return Inconsistency(
            "object-unknown",
            self.camera,
            f"{info.key} is neither a chunk nor a manifest",
            key=info.key,
            repair=Delete(info.key, tombstoned=False) if old else None,
        )


def _is_chunk(info: ObjectInfo) -> bool:
    return info.key.endswith(".ts")


def _deletion_times(
    tombstones: Sequence[inventory.ChunkTombstone],
) -> Callable[[str, int, str], int | None]:
    """Return a function of run, window start (ms) and digest: the deletion time (ms) or None."""
    by_key = {(each.run, each.window_start_ms, each.digest): each.deleted_ms for each in tombstones}

    def deleted_ms(run: str, start_ms: int, digest: str) -> int | None:
        # A tombstone without a window or a digest names all of them.
        keys = [
            (run, start_ms, digest),
            (run, start_ms, None),
            (run, None, digest),
            (run, None, None),
        ]
        times = [by_key[key] for key in keys if key in by_key]
        return max(times, default=None)  # the newest, because it may still be in progress

    return deleted_ms
