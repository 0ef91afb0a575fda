"""The consistency check of many cameras, one after the other: findings, and what became of them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from agents.consistency.camera_checker import CameraChecker
from agents.consistency.check import CameraCheck, CheckCounts, CheckScope
from agents.consistency.remover import RepairOutcome
from agents.consistency.repairer import Repairer
from domain.consistency import GracePeriods, Inconsistency
from domain.errors import InvalidIdError
from domain.identity import check_camera
from stores import bucket_listing as bucket
from stores.catalog import Catalog
from stores.catalog.camera_windows import camera_windows
from stores.objects import ObjectStore
from streams.sender import KafkaSender
from streams.settings import Settings

MARGIN_MS = 120_000
"""For healing, joining, indexing and a backlog: what is younger still may come by itself."""


def settle_ms(settings: Settings, margin_ms: int = MARGIN_MS) -> int:
    """Return how long after its arrival a fragment may be in no chunk without being wrong."""
    return settings.window_ms + settings.grace_ms + settings.idle_ms + settings.late_ms + margin_ms


@dataclass
class Fsck:
    """One check. With a `sender`, what is found is mended too."""

    store: ObjectStore
    catalog: Catalog
    scope: CheckScope
    patience: GracePeriods
    window_ms: int
    """As the settings say it; what a camera was told otherwise is read for each."""
    sender: KafkaSender | None = None
    counts: CheckCounts = field(default_factory=CheckCounts)

    async def run(self, known: set[str], only: Sequence[str]) -> AsyncIterator[RepairOutcome]:
        """Yield what is wrong with `only` these cameras, or all `known` ones and strangers."""
        for camera in sorted(only or known):
            check_camera(camera)
            async for outcome in self._camera(camera):
                yield outcome
        if only:
            return
        async for camera in bucket.cameras(self.store):
            if camera not in known:
                yield RepairOutcome(_stranger(camera), False, "cannot be repaired")

    async def _camera(self, camera: str) -> AsyncIterator[RepairOutcome]:
        cut = await camera_windows(self.catalog, camera, self.window_ms)
        settle_ms = self.patience.settle_ms + cut.extra_wait_ms(self.window_ms)
        patience = replace(self.patience, settle_ms=settle_ms)
        check = CameraCheck(self.store, self.catalog, camera, self.scope, patience, cut.lengths)
        checker = CameraChecker(check)
        repairer = Repairer(check, self.sender) if self.sender is not None else None
        async for finding in checker.findings():
            if repairer is None:
                yield RepairOutcome(finding, False, "")
                continue
            for outcome in await repairer.repair(finding):
                yield outcome
        if repairer is not None:
            for outcome in await repairer.finish(checker.counts):
                yield outcome
        self.counts.add(checker.counts)


def _stranger(camera: str) -> Inconsistency:
    try:
        check_camera(camera)
        says = f"it is not registered (vigil camera add {camera}), yet S3 holds objects of it"
    except InvalidIdError:
        says = "S3 holds objects under a name that is no camera's"
    return Inconsistency("camera-unknown", camera, says)
