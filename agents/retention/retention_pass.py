"""One pass over cameras: select, decide, carry out."""

from collections.abc import Callable, Iterable, Sequence

from agents.retention.candidates import candidates
from agents.retention.deletion_executor import DeletionExecutor
from agents.retention.deletion_stats import DeletionStats
from domain.deletions import (
    MAX_KEYS,
    Deletion,
    DeletionCandidate,
    RetainedFragment,
    chunk_deletions,
    fragment_deletions,
    revision_marks,
    still_deletable,
)
from domain.identity import is_run, run_end_key, run_started_ms
from domain.retention import Margins, RetentionPolicy
from stores import bucket_listing
from stores.catalog import Catalog, retention, retention_rules
from stores.catalog.detection_retention import delete_old_detections
from stores.objects import ObjectStore
from streams.sender import EventSender

CHUNKS_PER_PAGE = 30
"""Chunks of one transaction: about a thousand fragments."""


class RetentionPass:
    """One pass over cameras. `clock_ms` returns UTC in milliseconds."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        sender: EventSender | None,
        margins: Margins,
        clock_ms: Callable[[], int],
    ) -> None:
        """Without a sender this is a dry run: it only counts."""
        self._store = store
        self._catalog = catalog
        self._margins = margins
        self._clock_ms = clock_ms
        self._executor = DeletionExecutor(store, catalog, sender, clock_ms) if sender else None
        self._stats = DeletionStats()

    async def run(self, cameras: Iterable[str]) -> DeletionStats:
        """Enforce retention on cameras. Raises StoreError if a server fails: run it again."""
        for camera in cameras:
            await self._enforce(camera)
        self._stats.publish()
        return self._stats

    async def _enforce(self, camera: str) -> None:
        """Finish pending deletions, then decide and carry out page by page."""
        after = await self._executor.resume(camera, self._stats) if self._executor else 0
        now_ms = self._clock_ms()
        policy = await retention_rules.load_policy(self._catalog, self._margins)
        async for page in retention.deletable_chunks(
            self._catalog, camera, policy, now_ms, CHUNKS_PER_PAGE
        ):
            found = [
                each
                async for each in candidates(
                    self._store, camera, page, policy=policy, now_ms=now_ms, stats=self._stats
                )
            ]
            if self._executor is None:
                self._stats.count_planned(chunk_deletions(camera, found, now_ms))
                continue
            await self._decide_chunks(camera, found, now_ms)
            after = await self._executor.execute(camera, after, self._stats)
        age_ms = policy.age_ms(camera)
        if age_ms is None:
            return
        async for rows in retention.deletable_fragments(
            self._catalog, camera, now_ms - age_ms, MAX_KEYS
        ):
            if self._executor is None:
                self._stats.count_planned(self._unjoined_deletions(camera, rows, policy, now_ms))
                continue
            async with retention.locked_policy(self._catalog, camera, self._margins) as (
                connection,
                newest,
            ):
                if deletions := self._unjoined_deletions(camera, rows, newest, now_ms):
                    await retention.record_tombstones(connection, camera, deletions, [])
            after = await self._executor.execute(camera, after, self._stats)
        if self._executor is not None:
            self._stats.detections += await delete_old_detections(
                self._catalog, camera, now_ms - age_ms
            )
            await self._delete_run_ends(camera, now_ms - age_ms)

    async def _decide_chunks(
        self, camera: str, found: Sequence[DeletionCandidate], now_ms: int
    ) -> None:
        if not found:
            return
        async with retention.locked_policy(self._catalog, camera, self._margins) as (
            connection,
            policy,
        ):
            current = await retention.unchanged_chunks(
                connection, camera, (each.chunk for each in found)
            )
            to_delete = still_deletable(camera, found, current, policy, now_ms)
            if to_delete:
                deletions = chunk_deletions(camera, to_delete, now_ms)
                await retention.record_tombstones(
                    connection, camera, deletions, revision_marks(to_delete)
                )

    def _unjoined_deletions(
        self, camera: str, rows: Sequence[RetainedFragment], policy: RetentionPolicy, now_ms: int
    ) -> list[Deletion]:
        """Return the deletions of old fragments that are in no chunk."""
        judged = [(row, policy.judge(camera, row.footage, now_ms)) for row in rows]
        self._stats.held += sum(judgement.held for _, judgement in judged)
        old = (row for row, judgement in judged if "age" in judgement.deletable)
        return fragment_deletions(camera, old, now_ms)

    async def _delete_run_ends(self, camera: str, until_ms: int) -> None:
        """Delete the end.json of runs without footage. The catalog keeps what they say."""
        runs = [
            run
            async for run in bucket_listing.runs(self._store, camera)
            if is_run(run) and run_started_ms(run) < until_ms
        ]
        for start in range(0, len(runs), MAX_KEYS):
            page = runs[start : start + MAX_KEYS]
            async with retention.locked_policy(self._catalog, camera, self._margins) as (
                connection,
                policy,
            ):
                keys = []
                for run, from_ms, to_ms in await retention.emptied_runs(
                    connection, camera, page, until_ms
                ):
                    keys_left = [
                        info.key
                        async for _, info in bucket_listing.fragments(self._store, camera, run)
                    ]
                    if keys_left != [run_end_key(camera, run)]:
                        continue
                    if policy.is_held(camera, from_ms, to_ms):
                        self._stats.held += 1
                    else:
                        keys += keys_left
                await self._store.delete(keys)
            self._stats.count("age", len(keys))
