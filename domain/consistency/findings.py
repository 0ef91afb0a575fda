"""What can be wrong, and what mends it."""

from dataclasses import dataclass
from typing import Any, Literal

from domain.events import ChunkComplete

DAY_MS = 86_400_000

Kind = Literal[
    "fragment-unjoined",
    "fragment-stuck",
    "fragment-doubled",
    "fragment-unreadable",
    "fragment-differs",
    "fragment-row-covered",
    "fragment-row-without-object",
    "manifest-without-object",
    "manifest-unreadable",
    "object-without-manifest",
    "object-unknown",
    "chunk-differs",
    "row-missing",
    "row-stale",
    "row-differs",
    "row-without-object",
    "coverage-differs",
    "tombstoned-stands",
    "camera-unknown",
]
KINDS: dict[Kind, str] = {
    "fragment-unjoined": "a fragment in S3 stands in no current chunk and has no row",
    "fragment-stuck": "a fragment was announced and indexed, yet no chunk came of it",
    "fragment-doubled": "fragments stand in two current chunks",
    "fragment-unreadable": "a fragment's object does not say what it is",
    "fragment-differs": "a fragment's own object has not the bytes that its chunk holds",
    "fragment-row-covered": "a fragment has a row of its own though its chunk's row covers it",
    "fragment-row-without-object": "a fragment's row has no object in S3",
    "manifest-without-object": "a manifest's chunk object is not in S3",
    "manifest-unreadable": "a manifest cannot be read or contradicts itself",
    "object-without-manifest": "a chunk object has no manifest",
    "object-unknown": "an object is neither fragment nor chunk",
    "chunk-differs": "a chunk's bytes are not those that its manifest tells",
    "row-missing": "a chunk in S3 has no row",
    "row-stale": "a chunk's row tells of another revision than the current one",
    "row-differs": "a chunk's row contradicts its manifest",
    "row-without-object": "a chunk's row has no object in S3",
    "coverage-differs": "what the catalog says is covered is not what the chunk holds",
    "tombstoned-stands": "what was deleted on purpose stands again, or still",
    "camera-unknown": "S3 holds objects of a camera that is not registered",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """From when on something is wrong instead of in work, and unknown instead of new."""

    now_ms: int
    settle_ms: int
    """Window, grace, idle, late and a margin: what is younger may still be on its way."""
    unknown_ms: int = DAY_MS
    """What nobody knows is deleted only when it is older than this."""

    def young(self, at_ms: int) -> bool:
        """Say whether what happened at `at_ms` may still be in work."""
        return at_ms + self.settle_ms > self.now_ms

    def forlorn(self, at_ms: int) -> bool:
        """Say whether what was written at `at_ms`, and nobody knows, may be deleted."""
        return at_ms + self.unknown_ms <= self.now_ms


@dataclass(frozen=True, slots=True)
class RowId:
    """One making of a chunk's row: it is touched only while it is still this one."""

    window_start_ms: int
    run: str
    revision: int
    digest: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Send the fragment's event again, as the healer does."""

    run: str
    seq: int


@dataclass(frozen=True, slots=True)
class AskJoiner:
    """The assembler takes the fragment for joined: ask the joiner itself for its window."""

    run: str
    seq: int


@dataclass(frozen=True, slots=True)
class Reindex:
    """Index what the manifest says, in the place of `replaces`."""

    chunk: ChunkComplete
    replaces: RowId | None = None


@dataclass(frozen=True, slots=True)
class DropChunkRow:
    """Remove a chunk's row that tells of nothing that stands nowhere else."""

    row: RowId


@dataclass(frozen=True, slots=True)
class DropFragmentRow:
    """Remove a fragment's row: a chunk accounts for it, or it tells of nothing."""

    run: str
    seq: int
    covered: bool = False
    """What it tells stands in a chunk's row: nothing is lost with it."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Write the chunk's object again from its fragments, exactly as told; then its manifest."""

    chunk: ChunkComplete


@dataclass(frozen=True, slots=True)
class RestoreFragment:
    """Write a fragment's own object again from the chunk that holds its bytes."""

    chunk: ChunkComplete
    seq: int


@dataclass(frozen=True, slots=True)
class WriteManifest:
    """Write the manifest again from what the chunk's row says."""

    chunk: ChunkComplete


@dataclass(frozen=True, slots=True)
class Retire:
    """Bury a chunk all of whose fragments stand in other current chunks."""

    chunk: RowId


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object: because it is tombstoned, or because nobody has known it for a day."""

    key: str
    tombstoned: bool


Mend = (
    Announce
    | AskJoiner
    | Reindex
    | DropChunkRow
    | DropFragmentRow
    | Restore
    | RestoreFragment
    | WriteManifest
    | Retire
    | Delete
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    camera: str
    says: str
    """What is wrong, in words fit for an operator."""
    run: str | None = None
    seq: int | None = None
    at_ms: int | None = None
    """Start of the window or the fragment (UTC, ms); None where unknown."""
    key: str | None = None
    """The S3 key that it is about."""
    mend: Mend | None = None
    """What --repair does about it; None: nothing."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, absent ones left out; `mend` is the mend's name."""
        fields = {
            name: getattr(self, name)
            for name in ("kind", "camera", "run", "seq", "at_ms", "key", "says")
        }
        fields["mend"] = type(self.mend).__name__ if self.mend is not None else None
        return {name: value for name, value in fields.items() if value is not None}
