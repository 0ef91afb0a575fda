"""Finds the chunks whose objects or fragments may be deleted, and checks them in S3."""

import logging
from collections.abc import AsyncIterator, Sequence

from pydantic import ValidationError

from agents.retention.deletion_stats import DeletionStats
from domain.consistency import manifest_fault
from domain.deletions import DeletionCandidate, RetainedChunk
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete
from domain.identity import manifest_key, parse_chunk_key
from domain.retention import Judgement, RetentionPolicy
from domain.seqs import SeqRanges
from stores import bucket_listing
from stores.objects import ObjectStore
from stores.stored_manifest import read_manifest

log = logging.getLogger(__name__)


async def candidates(
    store: ObjectStore,
    camera: str,
    page: Sequence[RetainedChunk],
    *,
    policy: RetentionPolicy,
    now_ms: int,
    stats: DeletionStats,
) -> AsyncIterator[DeletionCandidate]:
    """Yield the chunks of which something may be deleted.

    Counts in `stats` what a legal hold covers, and what S3 lacks.
    """
    for chunk in page:
        judgement = policy.judge(camera, chunk.footage, now_ms)
        stats.held += judgement.held
        older: tuple[ChunkComplete, ...] = ()
        if "joined" in judgement.deletable and not await _matches_row(store, chunk):
            stats.unchecked += 1
            judgement = Judgement(judgement.deletable - {"joined"})
        if "superseded" in judgement.deletable:
            older = await _older_revisions(store, camera, chunk)
        if judgement.deletable:
            yield DeletionCandidate(chunk, judgement, older)


async def _matches_row(store: ObjectStore, chunk: RetainedChunk) -> bool:
    """Return whether a chunk and its manifest exist in S3 as in the row: one HEAD, one GET."""
    key = manifest_key(chunk.object_key)
    try:
        size_bytes = (await store.head(chunk.object_key)).size_bytes
        manifest = (await read_manifest(store, key)).chunk
    except (ObjectMissingError, ValidationError):
        matches = False
    else:
        matches = (
            manifest_fault(key, manifest) is None
            and size_bytes == chunk.size_bytes == manifest.size_bytes
            and (manifest.revision, manifest.digest) == (chunk.revision, chunk.digest)
            and SeqRanges.of(each.seq for each in manifest.fragments) == chunk.seqs
        )
    if not matches:
        log.warning(
            "fragments not deleted: %s or its manifest differs from the catalog; run `vigil fsck`",
            chunk.object_key,
        )
    return matches


async def _older_revisions(
    store: ObjectStore, camera: str, chunk: RetainedChunk
) -> tuple[ChunkComplete, ...]:
    """Return the lower revisions of a chunk whose manifests exist."""
    found = []
    async for info in bucket_listing.objects_of_window(
        store, camera, chunk.run, chunk.window_start_ms
    ):
        name = parse_chunk_key(info.key)
        if name is None or not name.manifest or name.window_ms != chunk.window_ms:
            continue
        try:
            older = (await read_manifest(store, info.key)).chunk
        except (ObjectMissingError, ValidationError):
            continue  # fsck reports it
        if older.revision < chunk.revision and name.digest != chunk.digest:
            found.append(older)
    return tuple(found)
