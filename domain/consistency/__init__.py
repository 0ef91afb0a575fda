"""What must be true between S3's fragments, S3's chunks and the catalog, and what repairs it.

Pure: what was read goes in, inconsistencies come out, each with its repair. The check is
agents/consistency/camera_checker.py, the repair is agents/consistency/repairer.py. See
docs/design/consistency.md.
"""

from domain.consistency.duplicates import CurrentChunk, duplicates
from domain.consistency.findings import (
    DAY_MS,
    KINDS,
    Announce,
    AskJoiner,
    AskJoinerForGaps,
    Delete,
    DropChunkRow,
    DropFragmentRow,
    GracePeriods,
    Inconsistency,
    Kind,
    Reindex,
    Repair,
    Restore,
    RestoreFragment,
    Retire,
    RowId,
    WriteManifest,
)
from domain.consistency.fragments import IndexedFragment, RunView, check_fragment
from domain.consistency.manifests import disputed_seqs, manifest_fault, unusable_seqs
from domain.consistency.windows import (
    DerivedColumns,
    IndexedChunk,
    StoredManifest,
    WindowReport,
    WindowView,
    check_window,
)

__all__ = [
    "DAY_MS",
    "KINDS",
    "Announce",
    "AskJoiner",
    "AskJoinerForGaps",
    "CurrentChunk",
    "Delete",
    "DerivedColumns",
    "DropChunkRow",
    "DropFragmentRow",
    "GracePeriods",
    "Inconsistency",
    "IndexedChunk",
    "IndexedFragment",
    "Kind",
    "Reindex",
    "Repair",
    "Restore",
    "RestoreFragment",
    "Retire",
    "RowId",
    "RunView",
    "StoredManifest",
    "WindowReport",
    "WindowView",
    "WriteManifest",
    "check_fragment",
    "check_window",
    "disputed_seqs",
    "duplicates",
    "manifest_fault",
    "unusable_seqs",
]
