"""What a consistency check covers, and how much it has checked."""

from dataclasses import dataclass, field, fields

from domain.consistency import GracePeriods
from domain.seqs import SeqRanges
from domain.window_lengths import WindowLengths
from stores.catalog import Catalog
from stores.objects import ObjectStore
from stores.stored_fragment import ObjectSignatures


@dataclass(frozen=True, slots=True)
class CheckScope:
    """Which windows and fragments are checked: those that start in this time (UTC, ms)."""

    from_ms: int = 0
    to_ms: int = 1 << 47
    bytes: bool = False
    """Whether to read and verify every byte."""
    signatures: bool = False
    """Whether to verify the signature of each fragment, and the chain of each run."""


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """One camera's check."""

    store: ObjectStore
    catalog: Catalog
    camera: str
    scope: CheckScope
    grace: GracePeriods
    lengths: WindowLengths
    """The camera's window lengths."""
    signatures: ObjectSignatures | None = None
    """Which objects count; None: all of them."""


@dataclass(slots=True)
class CheckCounts:
    """How much was checked. The field names are those of `vigil fsck --json`."""

    cameras: int = 0
    days: int = 0
    chunks: int = 0
    """Current chunks."""
    fragments: int = 0
    """Objects of fragments."""
    manifests: int = 0
    chunk_objects: int = 0
    chunk_rows: int = 0
    fragment_rows: int = 0
    """Rows of fragments that are in no chunk yet."""
    bytes_read: int = 0
    signed: int = 0
    """Fragments in chunks with a valid signature, where signatures were checked."""
    in_work: int = 0
    """Objects and rows that are too young to be judged."""

    def add(self, other: "CheckCounts") -> None:
        """Add the counts of another check."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class RunSeqs:
    """The seqs of one run that the checked windows account for."""

    seqs: SeqRanges = field(default_factory=SeqRanges)
    """In current chunks."""
    left_out: SeqRanges = field(default_factory=SeqRanges)
    """In gaps of current chunks, with a reason."""
    settled: SeqRanges = field(default_factory=SeqRanges)
    """Sealed as missing, by the chunks' rows."""
    disputed: SeqRanges = field(default_factory=SeqRanges)
    """Those of `left_out` whose bytes differ from their notice."""
    newest_ms: int = 0
    """When the newest of its chunks was joined (UTC)."""
