"""The chunks of one run in one window: objects, manifests and row against each other.

object ──► manifest ──► row     each is written after the one before it, and read here in
                                the other order: rows first, then the listing
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from domain.consistency.findings import (
    Delete,
    DropChunkRow,
    GracePeriods,
    Inconsistency,
    Kind,
    Reindex,
    Repair,
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
class DerivedColumns:
    """What the catalog derives from a manifest: half-open ranges, ascending."""

    seqs: Ranges
    settled: Ranges
    covered: Ranges
    whole: bool


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as S3 has it; `chunk` is None if it cannot be read."""

    modified_ms: int
    chunk: ChunkComplete | None
    derived: DerivedColumns | None = None


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk's row: the chunk that it describes (None: unreadable) and what is derived."""

    id: RowId
    object_key: str
    chunk: ChunkComplete | None
    derived: DerivedColumns
    indexed_ms: int


@dataclass(frozen=True, slots=True)
class WindowView:
    """All that was read of one run in one window."""

    camera: str
    run: str
    window_start_ms: int
    objects: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Key of each chunk object -> (bytes, modified_ms)."""
    manifests: Mapping[str, StoredManifest] = field(default_factory=dict)
    """Key of each manifest -> the manifest."""
    row: IndexedChunk | None = None


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What is wrong, which chunks are current by S3's manifests, how much is in progress."""

    findings: tuple[Inconsistency, ...]
    current: tuple[ChunkComplete, ...]
    pending: int


def check_window(
    view: WindowView, deleted_ms: Callable[[str], int | None], grace: GracePeriods
) -> WindowReport:
    """Return what is wrong with a window.

    `deleted_ms` returns when the chunk with a digest was deleted on purpose, or None.
    """
    return _WindowCheck(view, deleted_ms, grace).report()


class _WindowCheck:
    def __init__(
        self, view: WindowView, deleted_ms: Callable[[str], int | None], grace: GracePeriods
    ) -> None:
        self._view = view
        self._deleted_ms = deleted_ms
        self._grace = grace
        self._found: list[Inconsistency] = []
        self._pending = 0

    def report(self) -> WindowReport:
        valid = [
            manifest for key in sorted(self._view.manifests) if (manifest := self._manifest(key))
        ]
        current = self._current(valid)
        for manifest in valid:
            self._check_object_of(manifest, superseded=manifest not in current)
        for key in sorted(self._view.objects):
            self._check_object(key)
        self._check_row(current)
        chunks = tuple(manifest.chunk for manifest in current if manifest.chunk is not None)
        return WindowReport(tuple(self._found), chunks, self._pending)

    def _add(self, kind: Kind, text: str, key: str | None, repair: Repair | None) -> None:
        view = self._view
        self._found.append(
            Inconsistency(
                kind,
                view.camera,
                text,
                run=view.run,
                at_ms=view.window_start_ms,
                key=key,
                repair=repair,
            )
        )

    def _is_tombstoned(self, key: str, digest: str) -> bool:
        """Report an object that was deleted on purpose but exists; False if it was not deleted."""
        at_ms = self._deleted_ms(digest)
        if at_ms is None:
            return False
        if self._grace.is_recent(at_ms):
            self._pending += 1
        else:
            text = f"{key} was deleted on {format_ms(at_ms)}, but exists"
            self._add("tombstoned-stands", text, key, Delete(key, tombstoned=True))
        return True

    def _manifest(self, key: str) -> StoredManifest | None:
        """Return the manifest, or None if it was deleted or cannot be used."""
        manifest, name = self._view.manifests[key], parse_chunk_key(key)
        if name is not None and self._is_tombstoned(key, name.digest):
            return None
        if manifest.chunk is None:
            fault = "it is not a manifest"
        elif (found := manifest_fault(key, manifest.chunk)) is None:
            return manifest
        else:
            fault = found
        row = self._view.row
        known = row is not None and manifest_key(row.object_key) == key and row.chunk is not None
        repair = WriteManifest(row.chunk) if known and row and row.chunk else None
        self._add("manifest-unreadable", f"{key} cannot be used: {fault}", key, repair)
        return None

    def _current(self, valid: list[StoredManifest]) -> list[StoredManifest]:
        """Return the newest of each window length: only one is right, see duplicates.py."""
        newest: dict[int, StoredManifest] = {}
        for manifest in valid:
            assert manifest.chunk is not None
            best = newest.get(manifest.chunk.window_ms)
            if best is None or self._rank(manifest) > self._rank(best):
                newest[manifest.chunk.window_ms] = manifest
        return sorted(newest.values(), key=self._rank)

    def _rank(self, manifest: StoredManifest) -> tuple[int, bool, int]:
        assert manifest.chunk is not None
        row = self._view.row
        indexed = row is not None and row.id.digest == manifest.chunk.digest
        return manifest.chunk.revision, indexed, manifest.chunk.joined_ms

    def _check_object_of(self, manifest: StoredManifest, *, superseded: bool) -> None:
        chunk = manifest.chunk
        assert chunk is not None
        stored = self._view.objects.get(chunk.object_key)
        if stored is None and superseded:
            key = manifest_key(chunk.object_key)
            old = self._grace.is_abandoned(manifest.modified_ms)
            text = f"revision {chunk.revision}, no longer current, has a manifest but no object"
            self._add("manifest-without-object", text, key, Delete(key, False) if old else None)
        elif stored is None:
            text = f"the object of revision {chunk.revision} is missing: {chunk.object_key}"
            self._add("manifest-without-object", text, chunk.object_key, Restore(chunk))
        elif stored[0] != chunk.size_bytes:
            text = f"{chunk.object_key} has {stored[0]} bytes, its manifest says {chunk.size_bytes}"
            self._add("chunk-differs", text, chunk.object_key, Restore(chunk))

    def _check_object(self, key: str) -> None:
        """Check an object without manifest; one with a manifest is checked with it."""
        modified_ms = self._view.objects[key][1]
        name = parse_chunk_key(key)
        manifest = self._view.manifests.get(manifest_key(key))
        if name is not None and self._is_tombstoned(key, name.digest):
            return
        if manifest is not None:
            return
        if self._grace.is_recent(modified_ms):
            self._pending += 1
            return
        row = self._view.row
        repair: Repair | None = None
        if row is not None and row.object_key == key and row.chunk is not None:
            repair = WriteManifest(row.chunk)
        elif row is None or row.object_key != key:
            abandoned = self._grace.is_abandoned(modified_ms)
            repair = Delete(key, tombstoned=False) if abandoned else None
        self._add("object-without-manifest", f"{key} has no manifest", key, repair)

    def _check_row(self, current: list[StoredManifest]) -> None:
        row = self._view.row
        best = current[-1] if current else None
        if row is None:
            if best is None or best.chunk is None:
                return
            if self._grace.is_recent(best.modified_ms):
                self._pending += 1
                return
            text = f"revision {best.chunk.revision} is in S3, but not in the catalog"
            self._add("row-missing", text, best.chunk.object_key, Reindex(best.chunk))
            return
        deleted_ms = self._deleted_ms(row.id.digest)
        if deleted_ms is not None:
            if self._grace.is_recent(deleted_ms):
                self._pending += 1
                return
            text = f"it was deleted on {format_ms(deleted_ms)}, but its row exists"
            self._add("tombstoned-stands", text, row.object_key, DropChunkRow(row.id))
        elif best is None or best.chunk is None:
            if manifest_key(row.object_key) in self._view.manifests:
                return  # reported as unreadable
            if row.object_key in self._view.objects:
                return  # reported as object without manifest
            text = (
                f"revision {row.id.revision} is in the catalog, "
                "but S3 has neither its object nor its manifest"
            )
            repair = Restore(row.chunk) if row.chunk is not None else None
            self._add("row-without-object", text, row.object_key, repair)
        else:
            self._check_row_against(row, best, best.chunk)

    def _check_row_against(
        self, row: IndexedChunk, best: StoredManifest, chunk: ChunkComplete
    ) -> None:
        repair = Reindex(chunk, row.id)
        if (row.id.revision, row.id.digest) != (chunk.revision, chunk.digest):
            if row.id.revision < chunk.revision and self._grace.is_recent(best.modified_ms):
                self._pending += 1
                return
            text = (
                f"the catalog has revision {row.id.revision} ({row.id.digest[:8]}), "
                f"S3 has {chunk.revision} ({chunk.digest[:8]})"
            )
            missing = row.id.revision > chunk.revision and row.object_key not in self._view.objects
            kind: Kind = "row-without-object" if missing else "row-stale"
            self._add(kind, text, row.object_key, repair)
            return
        if row.chunk is None:
            self._add("row-differs", "its row cannot be read", row.object_key, repair)
        elif row.chunk != chunk:
            names = [
                name
                for name in ChunkComplete.model_fields
                if getattr(row.chunk, name) != getattr(chunk, name)
            ]
            text = f"row and manifest differ in {', '.join(names)}"
            self._add("row-differs", text, row.object_key, repair)
        elif row.derived != best.derived:
            names = [
                name
                for name in DerivedColumns.__slots__
                if getattr(row.derived, name) != getattr(best.derived, name)
            ]
            text = f"the row's {', '.join(names)} do not follow from its fragments and gaps"
            self._add("coverage-differs", text, row.object_key, repair)
