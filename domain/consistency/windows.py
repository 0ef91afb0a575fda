"""The chunks of one run in one window: objects, manifests and row against each other.

object ──► manifest ──► row       each is written after the one before it, and read here in
                                  the other order: rows first, then the listing
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from domain.consistency.findings import (
    Delete,
    DropChunkRow,
    Finding,
    Kind,
    Mend,
    Patience,
    Reindex,
    Restore,
    RowId,
    WriteManifest,
)
from domain.consistency.manifests import manifest_fault
from domain.events import ChunkComplete
from domain.identity import manifest_key, parse_chunk_key
from domain.times import format_ms

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """What the catalog works out from a manifest: half-open ranges, ascending."""

    seqs: Ranges
    settled: Ranges
    covered: Ranges
    whole: bool


@dataclass(frozen=True, slots=True)
class ManifestSeen:
    """A manifest as it stands; `chunk` is None where it cannot be read."""

    modified_ms: int
    chunk: ChunkComplete | None
    derived: Derived | None = None


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk's row: what it says of its chunk (None: unreadable) and what is derived."""

    id: RowId
    object_key: str
    chunk: ChunkComplete | None
    derived: Derived
    indexed_ms: int


@dataclass(frozen=True, slots=True)
class WindowView:
    """All that was seen of one run in one window."""

    camera: str
    run: str
    window_start_ms: int
    objects: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Key of each chunk object -> (bytes, modified_ms)."""
    manifests: Mapping[str, ManifestSeen] = field(default_factory=dict)
    """Key of each manifest."""
    row: ChunkRow | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, which chunks are current by S3's manifests, what is still in work."""

    findings: tuple[Finding, ...]
    current: tuple[ChunkComplete, ...]
    in_work: int


def judge_window(
    view: WindowView, buried_ms: Callable[[str], int | None], patience: Patience
) -> Verdict:
    """Return what is wrong with a window. `buried_ms` tells when a digest was deleted, or None."""
    return _Judge(view, buried_ms, patience).verdict()


class _Judge:
    def __init__(
        self, view: WindowView, buried_ms: Callable[[str], int | None], patience: Patience
    ) -> None:
        self.view, self.buried_ms, self.patience = view, buried_ms, patience
        self.findings: list[Finding] = []
        self.in_work = 0

    def verdict(self) -> Verdict:
        valid = [seen for key in sorted(self.view.manifests) if (seen := self._manifest(key))]
        current = self._current(valid)
        for seen in valid:
            self._object_of(seen, superseded=seen not in current)
        for key in sorted(self.view.objects):
            self._object(key)
        self._row(current)
        chunks = tuple(seen.chunk for seen in current if seen.chunk is not None)
        return Verdict(tuple(self.findings), chunks, self.in_work)

    def _tell(self, kind: Kind, says: str, key: str | None, mend: Mend | None) -> None:
        view = self.view
        self.findings.append(
            Finding(
                kind,
                view.camera,
                says,
                run=view.run,
                at_ms=view.window_start_ms,
                key=key,
                mend=mend,
            )
        )

    def _buried(self, key: str, digest: str) -> bool:
        """Tell of an object that was deleted on purpose; False where it was not."""
        at_ms = self.buried_ms(digest)
        if at_ms is None:
            return False
        if self.patience.young(at_ms):
            self.in_work += 1
        else:
            says = f"{key} was deleted on {format_ms(at_ms)} and stands"
            self._tell("tombstoned-stands", says, key, Delete(key, tombstoned=True))
        return True

    def _manifest(self, key: str) -> ManifestSeen | None:
        """Return the manifest where it counts."""
        seen, name = self.view.manifests[key], parse_chunk_key(key)
        if name is not None and self._buried(key, name.digest):
            return None
        fault = "it is no manifest" if seen.chunk is None else manifest_fault(key, seen.chunk)
        if fault is None:
            return seen
        row = self.view.row
        known = row is not None and manifest_key(row.object_key) == key and row.chunk is not None
        mend = WriteManifest(row.chunk) if known and row and row.chunk else None
        self._tell("manifest-unreadable", f"{key} cannot be used: {fault}", key, mend)
        return None

    def _current(self, valid: list[ManifestSeen]) -> list[ManifestSeen]:
        """Return the newest of each window length: only one is right, see doubles.py."""
        newest: dict[int, ManifestSeen] = {}
        for seen in valid:
            assert seen.chunk is not None
            standing = newest.get(seen.chunk.window_ms)
            if standing is None or self._rank(seen) > self._rank(standing):
                newest[seen.chunk.window_ms] = seen
        return sorted(newest.values(), key=self._rank)

    def _rank(self, seen: ManifestSeen) -> tuple[int, bool, int]:
        assert seen.chunk is not None
        row = self.view.row
        indexed = row is not None and row.id.digest == seen.chunk.digest
        return seen.chunk.revision, indexed, seen.chunk.joined_ms

    def _object_of(self, seen: ManifestSeen, *, superseded: bool) -> None:
        chunk = seen.chunk
        assert chunk is not None
        stands = self.view.objects.get(chunk.object_key)
        if stands is None and superseded:
            key = manifest_key(chunk.object_key)
            old = self.patience.forlorn(seen.modified_ms)
            says = f"revision {chunk.revision}, no longer current, has a manifest but no object"
            self._tell("manifest-without-object", says, key, Delete(key, False) if old else None)
        elif stands is None:
            says = f"the object of revision {chunk.revision} is gone: {chunk.object_key}"
            self._tell("manifest-without-object", says, chunk.object_key, Restore(chunk))
        elif stands[0] != chunk.size_bytes:
            says = f"{chunk.object_key} has {stands[0]} bytes, its manifest says {chunk.size_bytes}"
            self._tell("chunk-differs", says, chunk.object_key, Restore(chunk))

    def _object(self, key: str) -> None:
        """Judge an object that has no manifest; one that has is judged with it."""
        modified_ms = self.view.objects[key][1]
        name = parse_chunk_key(key)
        manifest = self.view.manifests.get(manifest_key(key))
        if name is not None and self._buried(key, name.digest):
            return
        if manifest is not None:
            return
        if self.patience.young(modified_ms):
            self.in_work += 1
            return
        row = self.view.row
        mend: Mend | None = None
        if row is not None and row.object_key == key and row.chunk is not None:
            mend = WriteManifest(row.chunk)
        elif row is None or row.object_key != key:
            mend = Delete(key, tombstoned=False) if self.patience.forlorn(modified_ms) else None
        self._tell("object-without-manifest", f"{key} has no manifest", key, mend)

    def _row(self, current: list[ManifestSeen]) -> None:
        row, patience = self.view.row, self.patience
        best = current[-1] if current else None
        if row is None:
            if best is None or best.chunk is None:
                return
            if patience.young(best.modified_ms):
                self.in_work += 1
                return
            says = f"revision {best.chunk.revision} stands in S3 and is not in the catalog"
            self._tell("row-missing", says, best.chunk.object_key, Reindex(best.chunk))
            return
        buried_ms = self.buried_ms(row.id.digest)
        if buried_ms is not None:
            if patience.young(buried_ms):
                self.in_work += 1
                return
            says = f"its row was deleted on {format_ms(buried_ms)} and stands"
            self._tell("tombstoned-stands", says, row.object_key, DropChunkRow(row.id))
        elif best is None or best.chunk is None:
            if manifest_key(row.object_key) in self.view.manifests:
                return  # told of as unreadable
            if row.object_key in self.view.objects:
                return  # told of as object without manifest
            says = (
                f"revision {row.id.revision} is in the catalog; S3 has neither object nor manifest"
            )
            mend = Restore(row.chunk) if row.chunk is not None else None
            self._tell("row-without-object", says, row.object_key, mend)
        else:
            self._row_against(row, best, best.chunk)

    def _row_against(self, row: ChunkRow, best: ManifestSeen, chunk: ChunkComplete) -> None:
        mend = Reindex(chunk, row.id)
        if (row.id.revision, row.id.digest) != (chunk.revision, chunk.digest):
            if row.id.revision < chunk.revision and self.patience.young(best.modified_ms):
                self.in_work += 1
                return
            says = (
                f"the catalog has revision {row.id.revision} ({row.id.digest[:8]}), "
                f"S3 has {chunk.revision} ({chunk.digest[:8]})"
            )
            gone = row.id.revision > chunk.revision and row.object_key not in self.view.objects
            kind: Kind = "row-without-object" if gone else "row-stale"
            self._tell(kind, says, row.object_key, mend)
            return
        if row.chunk is None:
            self._tell("row-differs", "its row cannot be read", row.object_key, mend)
        elif row.chunk != chunk:
            names = [
                name
                for name in ChunkComplete.model_fields
                if getattr(row.chunk, name) != getattr(chunk, name)
            ]
            says = f"row and manifest differ in {', '.join(names)}"
            self._tell("row-differs", says, row.object_key, mend)
        elif row.derived != best.derived:
            names = [
                name
                for name in Derived.__slots__
                if getattr(row.derived, name) != getattr(best.derived, name)
            ]
            says = f"the row's {', '.join(names)} do not follow from its fragments and gaps"
            self._tell("coverage-differs", says, row.object_key, mend)
