"""What must hold between S3's fragments, S3's chunks and the catalog, and what mends it.

Pure: what was seen goes in, findings come out, each with what would mend it. The check
is agents/consistency/camera_checker.py, the repair agents/consistency/repairer.py. See
docs/design/consistency.md.
"""

from domain.consistency.doubles import Standing, redundant
from domain.consistency.findings import (
    DAY_MS,
    KINDS,
    Announce,
    AskJoiner,
    Delete,
    DropChunkRow,
    DropFragmentRow,
    Finding,
    Kind,
    Mend,
    Patience,
    Reindex,
    Restore,
    RestoreFragment,
    Retire,
    RowId,
    WriteManifest,
)
from domain.consistency.fragments import FragmentRow, RunView, judge_fragment
from domain.consistency.manifests import explained, manifest_fault
from domain.consistency.windows import (
    ChunkRow,
    Derived,
    ManifestSeen,
    Verdict,
    WindowView,
    judge_window,
)

__all__ = [
    "DAY_MS",
    "KINDS",
    "Announce",
    "AskJoiner",
    "ChunkRow",
    "Delete",
    "Derived",
    "DropChunkRow",
    "DropFragmentRow",
    "Finding",
    "FragmentRow",
    "Kind",
    "ManifestSeen",
    "Mend",
    "Patience",
    "Reindex",
    "Restore",
    "RestoreFragment",
    "Retire",
    "RowId",
    "RunView",
    "Standing",
    "Verdict",
    "WindowView",
    "WriteManifest",
    "explained",
    "judge_fragment",
    "judge_window",
    "manifest_fault",
    "redundant",
]
