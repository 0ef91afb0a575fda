"""The consistency check of many cameras, one after the other, with the outcome of each finding."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from agents.consistency.camera_checker import CameraChecker
from agents.consistency.chain_checker import ChainChecker
from agents.consistency.check import CameraCheck, CheckCounts, CheckScope
from agents.consistency.remover import RepairOutcome
from agents.consistency.repairer import Repairer
from domain.consistency import GracePeriods, Inconsistency
from domain.errors import InvalidIdError
from domain.identity import check_camera, site_of
from domain.run_chain import past_devices
from stores import bucket_listing
from stores.catalog import Catalog
from stores.catalog.camera_windows import camera_windows
from stores.catalog.devices import load_devices
from stores.objects import ObjectStore
from stores.stored_fragment import ObjectSignatures
from streams.sender import EventSender
from streams.settings import Settings

MARGIN_MS = 120_000
"""Time for healing, joining, indexing and a backlog. Younger objects are not judged."""


def settle_ms(settings: Settings, margin_ms: int = MARGIN_MS) -> int:
    """Return how long (ms) after its arrival a fragment may normally be in no chunk."""
    return settings.window_ms + settings.grace_ms + settings.idle_ms + settings.late_ms + margin_ms


@dataclass
class Fsck:
    """One check. With a `sender`, findings are repaired too."""

    store: ObjectStore
    catalog: Catalog
    scope: CheckScope
    grace: GracePeriods
    window_ms: int
    """The default of the settings. A camera's own window lengths are read from the catalog."""
    sender: EventSender | None = None
    signatures: ObjectSignatures | None = None
    """Which objects count; None: all of them."""
    counts: CheckCounts = field(default_factory=CheckCounts)

    async def run(self, known: set[str], only: Sequence[str]) -> AsyncIterator[RepairOutcome]:
        """Check `only` these cameras. If empty: all `known` cameras and unregistered ones in S3."""
        for camera in sorted(only or known):
            check_camera(camera)
            async for outcome in self._check_camera(camera):
                yield outcome
        if only:
            return
        async for camera in bucket_listing.cameras(self.store):
            if camera not in known:
                yield RepairOutcome(_unregistered(camera), False, "cannot be repaired")

    async def _check_camera(self, camera: str) -> AsyncIterator[RepairOutcome]:
        windows = await camera_windows(self.catalog, camera, self.window_ms)
        settle_ms = self.grace.settle_ms + windows.extra_wait_ms(self.window_ms)
        grace = replace(self.grace, settle_ms=settle_ms)
        check = CameraCheck(
            self.store, self.catalog, camera, self.scope, grace, windows.lengths, self.signatures
        )
        checker = CameraChecker(check)
        repairer = Repairer(check, self.sender) if self.sender is not None else None
        async for finding in checker.findings():
            if repairer is None:
                yield RepairOutcome(finding, False, "")
                continue
            for outcome in await repairer.repair(finding):
                yield outcome
        if self.scope.signatures:
            async for outcome in self._check_chains(check):
                yield outcome
        if repairer is not None:
            for outcome in await repairer.finish(checker.counts):
                yield outcome
        self.counts.add(checker.counts)

    async def _check_chains(self, check: CameraCheck) -> AsyncIterator[RepairOutcome]:
        async with self.catalog.transaction() as connection:
            devices = await load_devices(connection, site_of(check.camera))
        checker = ChainChecker(check, past_devices(devices))
        async for finding in checker.findings():
            yield RepairOutcome(finding, False, "cannot be repaired" if self.sender else "")
        for chain in checker.chains.values():
            self.counts.signed += sum(chain.signers.values())


def _unregistered(camera: str) -> Inconsistency:
    try:
        check_camera(camera)
        text = f"it is not registered, but S3 has objects of it: vigil camera add {camera}"
    except InvalidIdError:
        text = "S3 has objects under a name that is not a camera id"
    return Inconsistency("camera-unknown", camera, text)
