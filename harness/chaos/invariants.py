"""What must hold at the end: every fragment in exactly one current chunk, byte for byte.

Compared are what the cameras PUT, the chunks and manifests in S3, and the catalog's rows.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.errors import StoreError
from domain.events import ChunkComplete
from domain.manifests import parse_manifest
from harness.chaos.synthetic_cameras import Run
from harness.footage import FPS, numbers
from stores.catalog import Catalog
from stores.objects import ObjectStore

MANY = 12
"""Faults listed one by one; the rest is counted."""


@dataclass
class Verdict:
    """What was found; all of it empty or 0 when all is well."""

    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    waiting: int = 0
    detections_lost: int = 0
    wrong_bytes: int = 0
    disagreeing: int = 0
    chunks: int = 0
    revisions: int = 0
    gaps: int = 0
    messages: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.lost or self.doubled or self.unknown or self.waiting or self.detections_lost
            or self.wrong_bytes or self.disagreeing or self.gaps
        )  # fmt: skip

    def say(self, what: str) -> None:
        """Record one fault."""
        if len(self.messages) < MANY:
            self.messages.append(what)


async def counted(catalog: Catalog, runs: Sequence[Run]) -> Verdict:
    """Compare the catalog alone with what was recorded: cheap, asked until all is there."""
    verdict = Verdict()
    cameras = sorted({run.camera for run in runs})
    async with catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT camera, run::text, seqs::text, revision, jsonb_array_length(gaps) AS gaps, "
            "(SELECT jsonb_agg(f -> 'seq') FROM jsonb_array_elements(fragments) AS f) AS held "
            "FROM chunks WHERE camera = ANY($1)",
            cameras,
        )
        waiting = await connection.fetch(
            "SELECT camera, run::text, seq FROM fragments WHERE camera = ANY($1)", cameras
        )
    held: dict[tuple[str, str], Counter[int]] = {}
    for row in rows:
        held.setdefault((row["camera"], row["run"]), Counter()).update(row["held"])
        verdict.revisions += row["revision"] - 1
        verdict.gaps += row["gaps"]
    verdict.chunks = len(rows)
    verdict.waiting = len(waiting)
    for row in waiting:
        verdict.say(f"waits in no chunk: {row['camera']} {row['run']} {row['seq']}")
    for run in runs:
        found = held.pop((run.camera, run.run), Counter())
        for seq in sorted(run.put - set(found)):
            verdict.lost += 1
            verdict.say(f"in no chunk: {run.camera} {run.run} {seq} of {len(run.put)}")
        for seq, times in found.items():
            if times > 1:
                verdict.doubled += times - 1
                verdict.say(f"in {times} chunks: {run.camera} {run.run} {seq}")
        verdict.unknown += len(set(found) - run.put)
    verdict.unknown += sum(len(seqs) for seqs in held.values())
    return verdict


async def detections_lost(catalog: Catalog, camera: str, wanted: int) -> int:
    """Return how many of a tenant's detections the catalog lacks; negative: it has too many."""
    async with catalog.transaction() as connection:
        found = await connection.fetchval(
            "SELECT count(*) FROM detections WHERE camera LIKE $1", camera + "/%"
        )
    return wanted - int(found)


async def compared(
    catalog: Catalog, store: ObjectStore, runs: Sequence[Run], verdict: Verdict
) -> None:
    """Read every current chunk and compare its bytes, its manifest and its row."""
    by_id = {(run.camera, run.run): run for run in runs}
    for camera in sorted({run.camera for run in runs}):
        async with catalog.transaction() as connection:
            rows = await connection.fetch(
                "SELECT run::text, window_start_ms, revision, digest, object_key, size_bytes, "
                "encode(sha256, 'hex') AS sha256, fragments FROM chunks WHERE camera = $1",
                camera,
            )
        newest = await _newest(store, camera, verdict)
        stored = {key: (each.revision, each.digest) for key, each in newest.items()}
        indexed = {
            (row["run"], row["window_start_ms"]): (row["revision"], row["digest"]) for row in rows
        }
        for key in sorted(set(stored) | set(indexed)):
            if stored.get(key) != indexed.get(key):
                verdict.disagreeing += 1
                verdict.say(f"{camera} {key}: S3 has {stored.get(key)}, catalog {indexed.get(key)}")
        for number, row in enumerate(rows):
            run = by_id.get((camera, row["run"]))
            if run is None:
                continue
            seqs = [fragment["seq"] for fragment in row["fragments"]]
            wanted = b"".join(run.film(seq)[1] for seq in seqs if seq in run.put)
            try:
                found = await store.get(row["object_key"])
            except StoreError as error:
                verdict.wrong_bytes += 1
                verdict.say(f"{row['object_key']}: {error}")
                continue
            right = found == wanted and row["size_bytes"] == len(found)
            if not right or row["sha256"] != hashlib.sha256(found).hexdigest():
                verdict.wrong_bytes += 1
                verdict.say(f"{row['object_key']}: not its fragments joined")
            elif number == 0 and not _numbered(found, seqs):
                verdict.wrong_bytes += 1
                verdict.say(f"{row['object_key']}: its pictures are not numbered as recorded")


async def _newest(
    store: ObjectStore, camera: str, verdict: Verdict
) -> dict[tuple[str, int], ChunkComplete]:
    newest: dict[tuple[str, int], ChunkComplete] = {}
    async for info in store.list(f"chunks/{camera}/"):
        if not info.key.endswith(".json"):
            continue
        chunk = parse_manifest(await store.get(info.key)).chunk
        key = chunk.run, chunk.window_start_ms
        if key in newest and newest[key].revision == chunk.revision:
            verdict.disagreeing += 1
            verdict.say(f"{info.key}: two manifests of revision {chunk.revision}")
        if key not in newest or chunk.revision > newest[key].revision:
            newest[key] = chunk
    return newest


def _numbered(chunk: bytes, seqs: Iterable[int]) -> bool:
    frames = 2 * FPS
    wanted = [(seq * frames + at) % (1 << 16) for seq in seqs for at in range(frames)]
    return numbers(chunk) == wanted
