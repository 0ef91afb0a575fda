"""Which of a camera's chunks may lose something, looked at in S3."""

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
from stores import bucket_listing as bucket
from stores.objects import ObjectStore

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
    """Yield those of which something may go; what a hold keeps or S3 lacks is noted in `went`."""
    for chunk in page:
        judgement = policy.judge(camera, chunk.footage, now_ms)
        stats.held += judgement.held
        older: tuple[ChunkComplete, ...] = ()
        if "joined" in judgement.deletable and not await _is_as_said(store, chunk):
            stats.unchecked += 1
            judgement = Judgement(judgement.deletable - {"joined"})
        if "superseded" in judgement.deletable:
            older = await _older(store, camera, chunk)
        if judgement.deletable:
            yield DeletionCandidate(chunk, judgement, older)


async def _is_as_said(store: ObjectStore, chunk: RetainedChunk) -> bool:
    """Say whether a chunk and its manifest stand in S3 as the row says: HEAD and GET."""
    key = manifest_key(chunk.object_key)
    try:
        size_bytes = (await store.head(chunk.object_key)).size_bytes
        manifest = ChunkComplete.model_validate_json(await store.get(key))
    except (ObjectMissingError, ValidationError):
        agrees = False
    else:
        agrees = (
            manifest_fault(key, manifest) is None
            and size_bytes == chunk.size_bytes == manifest.size_bytes
            and (manifest.revision, manifest.digest) == (chunk.revision, chunk.digest)
            and SeqRanges.of(each.seq for each in manifest.fragments) == chunk.seqs
        )
    if not agrees:
        log.warning(
            "fragments stay: object or manifest of %s is not as the catalog says; see `vigil fsck`",
            chunk.object_key,
        )
    return agrees


async def _older(
    store: ObjectStore, camera: str, chunk: RetainedChunk
) -> tuple[ChunkComplete, ...]:
    """Return the lower revisions of a chunk whose manifests stand."""
    found = []
    async for info in bucket.objects_of_window(store, camera, chunk.run, chunk.window_start_ms):
        name = parse_chunk_key(info.key)
        if name is None or not name.manifest or name.window_ms != chunk.window_ms:
            continue
        try:
            older = ChunkComplete.model_validate_json(await store.get(info.key))
        except (ObjectMissingError, ValidationError):
            continue  # fsck tells of it
        if older.revision < chunk.revision and name.digest != chunk.digest:
            found.append(older)
    return tuple(found)
