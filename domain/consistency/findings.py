"""What can be wrong, and what repairs it."""

from dataclasses import dataclass
from typing import Any, Literal

from domain.events import ChunkComplete

DAY_MS = 86_400_000

Kind = Literal[
    "fragment-unjoined",
    "fragment-stuck",
    "fragment-left-out",
    "fragment-doubled",
    "fragment-unreadable",
    "fragment-refused",
    "fragment-differs",
    "fragment-row-covered",
    "fragment-row-without-object",
    "manifest-without-object",
    "manifest-unreadable",
    "object-without-manifest",
    "object-unknown",
    "chunk-differs",
    "gap-filled",
    "row-missing",
    "row-stale",
    "row-differs",
    "row-without-object",
    "coverage-differs",
    "tombstoned-stands",
    "camera-unknown",
    "signature-missing",
    "signature-wrong",
    "chain-broken",
    "chain-hole",
]
KINDS: dict[Kind, str] = {
    "fragment-unjoined": "a fragment in S3 is in no current chunk and has no row",
    "fragment-stuck": "a fragment was announced and indexed, but was never joined into a chunk",
    "fragment-left-out": "a whole fragment was left out of its chunk because of a wrong notice",
    "fragment-doubled": "fragments are in two current chunks",
    "fragment-unreadable": "a fragment's object has no usable metadata",
    "fragment-refused": "a fragment's signature is not one that its site believes",
    "fragment-differs": "a fragment's own object has other bytes than its chunk",
    "fragment-row-covered": "a fragment has a row of its own though its chunk's row covers it",
    "fragment-row-without-object": "a fragment's row has no object in S3",
    "manifest-without-object": "a manifest's chunk object is not in S3",
    "manifest-unreadable": "a manifest cannot be read or contradicts itself",
    "object-without-manifest": "a chunk object has no manifest",
    "object-unknown": "an object is neither fragment nor chunk",
    "chunk-differs": "a chunk's bytes do not match its manifest",
    "gap-filled": "a chunk reports a fragment as missing that another chunk holds",
    "row-missing": "a chunk in S3 has no row",
    "row-stale": "a chunk's row has another revision than the current one",
    "row-differs": "a chunk's row contradicts its manifest",
    "row-without-object": "a chunk's row has no object in S3",
    "coverage-differs": "the coverage in the catalog does not match the chunk",
    "tombstoned-stands": "something that was deleted on purpose exists again, or still",
    "signature-missing": "no device signed a fragment of a chunk (only with --signatures)",
    "signature-wrong": "a fragment's signature in its manifest is wrong (only with --signatures)",
    "chain-broken": "a fragment names another one before it (only with --signatures)",
    "chain-hole": "fragments of a run are in no chunk (only with --signatures)",
    "camera-unknown": "S3 holds objects of a camera that is not registered",
}


@dataclass(frozen=True, slots=True)
class GracePeriods:
    """From which age on something is wrong, not just in progress; and unknown, not just new."""

    now_ms: int
    settle_ms: int
    """Window, grace, idle, late and a margin: what is newer may still be in progress."""
    unknown_ms: int = DAY_MS
    """An object that nothing refers to is deleted only if it is older than this."""

    def is_recent(self, at_ms: int) -> bool:
        """Say whether something of `at_ms` may still be in progress."""
        return at_ms + self.settle_ms > self.now_ms

    def is_abandoned(self, at_ms: int) -> bool:
        """Say whether an unknown object that was written at `at_ms` may be deleted."""
        return at_ms + self.unknown_ms <= self.now_ms


@dataclass(frozen=True, slots=True)
class RowId:
    """One revision of a chunk's row: a repair changes it only while it is still this one."""

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
    """Ask the joiner for the fragment's window, since the assembler believes it is joined."""

    run: str
    seq: int


@dataclass(frozen=True, slots=True)
class AskJoinerForGaps:
    """Ask the joiner to make the chunk's next revision, without the gaps that are filled."""

    chunk: RowId


@dataclass(frozen=True, slots=True)
class Reindex:
    """Index the manifest's chunk, in place of the row `replaces`."""

    chunk: ChunkComplete
    replaces: RowId | None = None


@dataclass(frozen=True, slots=True)
class DropChunkRow:
    """Remove a chunk's row: other chunks hold all its fragments, or nothing is left of it."""

    row: RowId


@dataclass(frozen=True, slots=True)
class DropFragmentRow:
    """Remove a fragment's row: a chunk accounts for it, or its object is gone."""

    run: str
    seq: int
    covered: bool = False
    """A chunk's row accounts for the fragment: nothing is lost with this row."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Write the chunk's object again from its fragments, byte for byte; then its manifest."""

    chunk: ChunkComplete


@dataclass(frozen=True, slots=True)
class RestoreFragment:
    """Write a fragment's own object again from the chunk that holds its bytes."""

    chunk: ChunkComplete
    seq: int


@dataclass(frozen=True, slots=True)
class WriteManifest:
    """Write the manifest again from the chunk's row."""

    chunk: ChunkComplete


@dataclass(frozen=True, slots=True)
class Retire:
    """Record a tombstone for a chunk whose fragments are all in other current chunks."""

    chunk: RowId


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object: it has a tombstone, or nothing has referred to it for a day."""

    key: str
    tombstoned: bool


Repair = (
    Announce
    | AskJoiner
    | AskJoinerForGaps
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
class Inconsistency:
    """One thing that is wrong."""

    kind: Kind
    camera: str
    text: str
    """What is wrong, in words fit for an operator."""
    run: str | None = None
    seq: int | None = None
    at_ms: int | None = None
    """Start of the window or the fragment (UTC, ms); None where unknown."""
    key: str | None = None
    """The S3 key of the object concerned."""
    repair: Repair | None = None
    """What --repair does about it; None: nothing."""

    def as_json(self) -> dict[str, Any]:
        """Return it as `vigil fsck --json` prints it, without absent values.

        The names are public: "says" is the text, "mend" is the class of the repair.
        """
        fields = {
            name: getattr(self, name) for name in ("kind", "camera", "run", "seq", "at_ms", "key")
        }
        fields["says"] = self.text
        fields["mend"] = type(self.repair).__name__ if self.repair is not None else None
        return {name: value for name, value in fields.items() if value is not None}
