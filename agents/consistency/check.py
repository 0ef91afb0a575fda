"""What a consistency check is about, and how much it looked at."""

from dataclasses import dataclass, field, fields

from domain.consistency import GracePeriods
from domain.seqs import SeqRanges
from domain.window_lengths import WindowLengths
from stores.catalog import Catalog
from stores.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class CheckScope:
    """From when to when it is looked (UTC, ms; windows and fragments that start in it)."""

    from_ms: int = 0
    to_ms: int = 1 << 47
    bytes: bool = False
    """Read every byte too."""


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """One camera's check: where, what, from when to when, how retry_for."""

    store: ObjectStore
    catalog: Catalog
    camera: str
    scope: CheckScope
    patience: GracePeriods
    lengths: WindowLengths
    """The camera's window lengths."""


@dataclass(slots=True)
class CheckCounts:
    """How much was looked at."""

    cameras: int = 0
    days: int = 0
    chunks: int = 0
    """Current ones."""
    fragments: int = 0
    """Their objects."""
    manifests: int = 0
    chunk_objects: int = 0
    chunk_rows: int = 0
    fragment_rows: int = 0
    """Of fragments that no chunk holds yet."""
    bytes_read: int = 0
    in_work: int = 0
    """Too young to be judged."""

    def add(self, other: "CheckCounts") -> None:
        """Add what another looked at."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class RunSeqs:
    """What the checked windows say of one run."""

    seqs: SeqRanges = field(default_factory=SeqRanges)
    """In current chunks."""
    left_out: SeqRanges = field(default_factory=SeqRanges)
    settled: SeqRanges = field(default_factory=SeqRanges)
