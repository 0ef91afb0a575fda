"""Checks the signatures of what sites send, counts and reports what is refused.

By each way in the rule is the same (domain/device_identity.py); only the signed bytes differ.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from cachetools import LRUCache, TTLCache
from prometheus_client import Counter

from agents.signatures.registry import READ_AGAIN_S, KnownSigners, SignerRegistry
from domain.device_identity import EventSignature, SignatureError, check_signature
from domain.events import FragmentArrived, Heartbeat, RunEnded, SiteEvent
from domain.identity import site_of
from stores.catalog import Catalog
from streams.metrics import REGISTRY

log = logging.getLogger(__name__)
WayIn = Literal["queue", "object"]
MAX_SERIES = 2_000
"""Devices with a series of their own; the others share one."""
OTHERS = "others"
WARN_EACH_S = 600.0
"""A site that sends unsigned events is named in the log this often."""
_MAY_CHANGE = frozenset({"unsigned", "unknown", "generation", "locked", "revoked"})
"""Reasons that end when the catalog changes."""

REFUSED = Counter(
    "vigil_signatures_refused",
    "Events that their signature does not permit. device: as it names itself, if it is enrolled "
    "at that site",
    ("way", "site", "device", "code"),
    registry=REGISTRY,
)
UNSIGNED = Counter(
    "vigil_events_unsigned",
    "Events that no device signed and that were accepted, because their site does not refuse them",
    ("way", "site", "policy"),
    registry=REGISTRY,
)
SIGNED = Counter("vigil_events_signed", "Events with a valid signature", ("way",),
                 registry=REGISTRY)  # fmt: skip


class SignatureChecker:
    """Says who signed an event, by a registry that is at most 2 s old."""

    def __init__(self, registry: SignerRegistry) -> None:
        self._registry = registry
        self._series: LRUCache[tuple[str, str], None] = LRUCache(MAX_SERIES)
        self._warned: TTLCache[str, None] = TTLCache(MAX_SERIES, WARN_EACH_S, time.monotonic)

    @classmethod
    def of(cls, catalog: Callable[[], Awaitable[Catalog]]) -> "SignatureChecker":
        """Return one that reads this catalog."""
        return cls(SignerRegistry(catalog))

    @classmethod
    def opened(cls, catalog: Catalog) -> "SignatureChecker":
        """Return one that reads a catalog that is open."""

        async def get() -> Catalog:
            return catalog

        return cls.of(get)

    async def check(
        self, event: SiteEvent, body: bytes, signature: str | None, way: WayIn = "queue"
    ) -> EventSignature | None:
        """Return who signed an event with these bytes; None: no device, and its site permits that.

        Raises SignatureError with the reason, StoreError if the catalog fails.
        """
        site = event.site if isinstance(event, Heartbeat) else site_of(event.camera)
        known = await self._registry.known()
        try:
            found = self._check(known, site, body, signature)
        except SignatureError as error:
            if error.code not in _MAY_CHANGE and _both_known(known, site, signature):
                self._refused(known, site, signature, error, way)
                raise
            # The device may have been enrolled, renewed or unlocked since: that changes the
            # decision, or under which device a refusal is counted.
            known = await self._registry.known(READ_AGAIN_S)
            try:
                found = self._check(known, site, body, signature)
            except SignatureError as error:
                self._refused(known, site, signature, error, way)
                raise
        if found is None:
            self._unsigned(site, known, way)
        else:
            SIGNED.labels(way).inc()
        return found

    async def check_object(
        self, event: FragmentArrived | RunEnded, body: bytes, signature: str | None
    ) -> None:
        """Check what an object in S3 says; raises as `check` does."""
        await self.check(event, body, signature, "object")

    def _check(
        self, known: KnownSigners, site: str, body: bytes, signature: str | None
    ) -> EventSignature | None:
        return check_signature(signature, body, site, known.devices, known.policy(site))

    def _refused(
        self,
        known: KnownSigners,
        site: str,
        signature: str | None,
        error: SignatureError,
        way: WayIn,
    ) -> None:
        device = _named_device(signature) if _both_known(known, site, signature) else ""
        if (site, device) not in self._series and len(self._series) >= MAX_SERIES:
            site = device = OTHERS
        else:
            self._series[site, device] = None
        REFUSED.labels(way, site, device, error.code).inc()

    def _unsigned(self, site: str, known: KnownSigners, way: WayIn) -> None:
        policy = known.policy(site)
        UNSIGNED.labels(way, site, policy).inc()
        if policy == "warn" and site not in self._warned:
            self._warned[site] = None
            log.warning(
                "%s accepts events that no device signed: anyone who may send to the queue can "
                "send them. Enrol its devices (vigil device code %s), then refuse unsigned events "
                "(vigil site unsigned %s refuse).", site, site, site
            )  # fmt: skip


def _both_known(known: KnownSigners, site: str, signature: str | None) -> bool:
    """Say whether the site and the device that a signature names are in the catalog."""
    return site in known.policies and _named_device(signature) in known.devices


def _named_device(signature: str | None) -> str:
    if signature is None:
        return ""
    try:
        return EventSignature.parse(signature).device
    except SignatureError:
        return ""
