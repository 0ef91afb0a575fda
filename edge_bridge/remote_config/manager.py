"""Keeps this device's configuration as the catalog says: asks, tries, accepts or goes back."""

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import dataclass
from typing import Literal, Protocol

from domain.errors import ConfigError, CredentialsError, StoreError
from domain.site_config import SiteVersion
from edge_bridge.config import EdgeConfig
from edge_bridge.config.remote import CentralConfig
from edge_bridge.metrics import CONFIG_VERSION
from edge_bridge.remote_config.client import ConfigClient, ConfigNotSetError
from edge_bridge.remote_config.merge import merge
from edge_bridge.remote_config.rollout import RolloutState, Trial
from edge_bridge.remote_config.store import ConfigStore
from edge_bridge.upload.link import Link

log = logging.getLogger(__name__)

_LOOK_S = 0.25
_STOP_S = 2.0
"""How long a disk may keep an orderly stop waiting."""
_MOST_DETAIL = 500

State = Literal["current", "trying", "refused", "out-of-reach", "none"]


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """What heartbeats and health say. `version` None: the device's own file is in force."""

    version: int | None
    state: State
    detail: str


class ConfigTarget(Protocol):
    """What records by the configuration."""

    async def apply(self, config: EdgeConfig) -> None:
        """Record by another configuration; cameras that it does not change go on."""
        ...

    @property
    def settled(self) -> bool:
        """Whether all that was applied has shown whether it works."""
        ...

    def working(self) -> frozenset[str]:
        """Return which cameras (and `inference`) work."""
        ...

    def ailing(self, must: frozenset[str]) -> tuple[dict[str, str], str]:
        """Return which of these (that are still configured) do not work -> why, and what makes
        all further waiting useless, or nothing.
        """
        ...


class RemoteConfigManager:
    """One per edge; `boot` first, then `run` until cancelled."""

    def __init__(self, own: EdgeConfig, central: CentralConfig, link: Link) -> None:
        """`own`: the device's file."""
        self._own, self._config, self._link = own, central, link
        self._kept = ConfigStore(own.spool.dir / "central")
        self._standing = self._written = RolloutState()
        self._in_force = own
        self._state: State = "current"
        self._trying: SiteVersion | None = None
        self._fault = ""

    def boot(self) -> EdgeConfig:
        """Return what to record by until the catalog says otherwise; never raises. Blocks."""
        self._written = self._kept.load()
        standing = self._written.wakes()
        while standing.good is not None:
            try:
                self._in_force = self._laid(standing.good)
                break
            except ConfigError as error:
                log.error("the site's configuration kept here cannot be used: %s", error)
                standing = standing.loses_good(str(error))
        self._standing = standing
        CONFIG_VERSION.set(standing.good.version if standing.good else 0)
        if standing.good is None and not self._own.cameras:
            log.error("no camera is known yet: the catalog has not answered so far")
        return self._in_force

    @property
    def told(self) -> ConfigStatus:
        """Say how the configuration fares."""
        good, refused = self._standing.good, self._standing.refused
        version = None if good is None else good.version
        if self._trying is not None:
            return ConfigStatus(version, "trying", f"version {self._trying.version} is on trial.")
        parts = []
        state = self._state
        if refused is not None:
            parts.append(_sentence(f"version {refused.what.version} is refused: {refused.why}"))
            state = "refused"
        if self._fault:
            parts.append(self._fault)
        return ConfigStatus(version, state, " ".join(parts)[:_MOST_DETAIL])

    async def run(self, works: ConfigTarget) -> None:
        """Ask and apply until cancelled."""
        async with ConfigClient(self._config, self._own.site) as asking:
            while True:
                await self._link.ready()
                offer = await self._ask(asking)
                if self._standing != self._written:
                    await self._keep(self._standing)
                if (
                    offer is not None
                    and self._standing.wants(offer)
                    and not await self._consider(offer, works)
                ):
                    asking.forget()
                spread = random.uniform(0.8, 1.2)  # noqa: S311
                await asyncio.sleep(self._config.every_s * spread)

    async def _ask(self, asking: ConfigClient) -> SiteVersion | None:
        try:
            offer = await asking.newest()
        except ConfigNotSetError as error:
            self._link.succeeded()
            self._state, self._fault = "none", str(error)
            return None
        except (StoreError, ConfigError) as error:
            self._link.failed(error)
            what = "it goes on with what it has"
            self._state, self._fault = "out-of-reach", f"{error} Until then {what}."
            if isinstance(error, CredentialsError):
                self._fault = f"{error} Give it another by `vigil key create --edge-of`; {what}."
            return None
        self._link.succeeded()
        self._state, self._fault = "current", ""
        return offer

    async def _consider(self, offer: SiteVersion, works: ConfigTarget) -> bool:
        """Try a version; False: it has to be offered again."""
        try:
            config = self._laid(offer)
        except ConfigError as error:
            await self._refuse(offer, str(error))
            return True
        if self._standing.says_the_same(offer):
            return await self._keep(self._standing.accepts(offer))
        if not await self._keep(self._standing.begins(offer)):
            return False
        log.info("version %d of the site's configuration is on trial", offer.version)
        before, self._trying = self._in_force, offer
        try:
            why = await self._try(config, works)
            self._in_force = config
        except asyncio.CancelledError:
            self._standing = self._standing.leaves_off()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._keep(self._standing)
            raise
        except Exception as error:
            log.exception("unforeseen fault on trial")
            why = f"unforeseen fault ({type(error).__name__})"
        finally:
            self._trying = None
        if not why:
            log.info("version %d of the site's configuration counts from now on", offer.version)
            await self._keep(self._standing.accepts(offer))
            CONFIG_VERSION.set(offer.version)
            return True
        self._in_force = before
        await self._refuse(offer, why)
        await works.apply(before)
        return True

    async def _try(self, config: EdgeConfig, works: ConfigTarget) -> str:
        """Apply and watch; return why it does not do, or nothing."""
        patient_until_s = time.monotonic() + self._config.trial_s
        while True:  # after a start, what works is not yet known
            if works.settled or time.monotonic() >= patient_until_s:
                break
            await asyncio.sleep(_LOOK_S)
        must = works.working()
        await works.apply(config)
        trial_s = self._config.trial_s
        trial = Trial(time.monotonic() + trial_s, trial_s / 6, config.inference.start_s)
        while True:
            ailing, hopeless = works.ailing(must)
            trial, verdict, why = trial.judge(time.monotonic(), ailing, hopeless)
            if verdict != "waiting":
                return why if verdict == "bad" else ""
            await asyncio.sleep(_LOOK_S)

    async def _refuse(self, offer: SiteVersion, why: str) -> None:
        log.error("version %d of the site's configuration is refused: %s", offer.version, why)
        await self._keep(self._standing.refuses(offer, why[:_MOST_DETAIL]))

    async def _keep(self, standing: RolloutState) -> bool:
        """Let it count, and write it down; False, and said: it cannot be written."""
        try:
            await asyncio.to_thread(self._kept.save, standing)
        except OSError as error:
            self._fault = f"the site's configuration cannot be kept on this disk: {error.strerror}."
            log.error("%s", self._fault)
            if standing.trying is None:
                self._standing = standing
            return False
        self._standing = self._written = standing
        return True

    def _laid(self, version: SiteVersion) -> EdgeConfig:
        return merge(self._own, version.document(), f"version {version.version}")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
