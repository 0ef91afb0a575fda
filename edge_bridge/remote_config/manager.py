"""Follows the site's configuration: fetch, try out (a canary), then accept or roll back."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from domain.errors import ConfigError, StoreError
from domain.site_config import ConfigRefusedError, OfferedConfig, SiteVersion
from domain.times import utc_ms
from domain.unset_clock import plainly_wrong
from edge_bridge.config import EdgeConfig
from edge_bridge.config.remote import CentralConfig
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.metrics import CONFIG_VERSION
from edge_bridge.remote_config.client import (
    CertificateSource,
    ConfigClient,
    ConfigNotSetError,
    ConfigSource,
    KeySource,
)
from edge_bridge.remote_config.merge import merge
from edge_bridge.remote_config.rollout import RolloutState, Trial
from edge_bridge.remote_config.store import ConfigStore
from edge_bridge.remote_config.trust import ConfigTrust
from edge_bridge.upload.link import Link

log = logging.getLogger(__name__)

_POLL_S = 0.25
_SHUTDOWN_WRITE_S = 2.0
"""How long a slow disk may delay a graceful shutdown."""
_MAX_DETAIL = 500

ConfigState = Literal["current", "trying", "refused", "out-of-reach", "none"]


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """For heartbeats and health. `version` None: the device's own file is in force."""

    version: int | None
    state: ConfigState
    detail: str


class ConfigTarget(Protocol):
    """What a configuration is applied to, and whose health decides about it."""

    async def apply(self, config: EdgeConfig) -> None:
        """Use another configuration. Cameras that it does not change continue."""
        ...

    @property
    def settled(self) -> bool:
        """Whether every part has shown whether it works."""
        ...

    def healthy(self) -> frozenset[str]:
        """Return which cameras (and `inference`) work."""
        ...

    def unhealthy(self, required: frozenset[str]) -> tuple[dict[str, str], str]:
        """Return which of `required`, if still configured, do not work -> why.

        Second: a fatal fault, which waiting does not repair, or "".
        """
        ...


class RemoteConfigManager:
    """One per edge. Call `boot` first, then `run` until cancelled."""

    def __init__(
        self,
        own: EdgeConfig,
        central: CentralConfig,
        link: Link,
        *,
        identity: DeviceIdentity | None = None,
        clock_ms: Callable[[], int] = utc_ms,
    ) -> None:
        """`own`: the device's own file. `identity` None: this device is not enrolled."""
        self._own = own
        self._central = central
        self._link = link
        self._identity = identity or DeviceIdentity(None)
        self._trust = ConfigTrust(own, central, self._identity)
        self._clock_ms = clock_ms
        self._store = ConfigStore(own.spool.dir / "central")
        self._state = RolloutState()
        self._stored_state = self._state
        self._in_force = own
        self._fetch_state: ConfigState = "current"
        self._on_trial: SiteVersion | None = None
        self._problem = ""
        self._refusal = ""
        """Why the last offer was refused, as it was logged."""

    def boot(self) -> EdgeConfig:
        """Return the configuration to start with, from the disk; never raises. Blocks."""
        self._stored_state = self._store.load()
        state = self._stored_state.on_restart()
        while state.accepted is not None:
            try:
                # After an upgrade that allows less, the device still records with what it has.
                self._in_force = self._merged(state.accepted, confined=False)
                break
            except ConfigError as error:
                log.error("the stored site configuration cannot be used: %s", error)
                state = state.fall_back(str(error))
        self._state = state
        CONFIG_VERSION.set(state.accepted.version if state.accepted else 0)
        if state.accepted is None and not self._own.cameras:
            log.error("no cameras yet: this device has no configuration from the catalog so far")
        return self._in_force

    @property
    def status(self) -> ConfigStatus:
        """The state of the configuration."""
        accepted, rejected = self._state.accepted, self._state.rejected
        version = None if accepted is None else accepted.version
        if self._on_trial is not None:
            detail = f"version {self._on_trial.version} is on trial."
            return ConfigStatus(version, "trying", detail)
        details = []
        state = self._fetch_state
        if rejected is not None:
            text = f"version {rejected.id.version} was rejected: {rejected.reason}"
            details.append(_sentence(text))
            state = "refused"
        if self._problem:
            details.append(self._problem)
        return ConfigStatus(version, state, " ".join(details)[:_MAX_DETAIL])

    async def newest(self) -> SiteVersion:
        """Fetch the newest version once, and check it. Raises VigilError, ConfigError."""
        async with ConfigClient(self._source) as client:
            offer = await client.newest()
        if offer is None:
            raise ConfigNotSetError("the catalog sent nothing.")
        await asyncio.to_thread(self._check, offer)
        return offer.effective(may_disable=self._central.allow_disable)

    async def run(self, target: ConfigTarget) -> None:
        """Fetch and apply until cancelled."""
        async with ConfigClient(self._source) as client:
            while True:
                await self._link.ready()
                offer = await self._next(client)
                if self._state != self._stored_state:  # an earlier write has failed
                    await self._save(self._state)
                if (
                    offer is not None
                    and self._state.should_try(offer)
                    and not await self._try_version(offer, target)
                ):
                    client.forget()
                jitter = random.uniform(0.8, 1.2)  # noqa: S311
                await asyncio.sleep(self._central.every_s * jitter)

    def _source(self) -> ConfigSource:
        if self._identity.state == "none":
            return KeySource(self._central, self._own.site)
        return CertificateSource(self._identity)

    async def _next(self, client: ConfigClient) -> SiteVersion | None:
        """Return a version that the cloud offers, and that this device may take."""
        fetched = await self._fetch(client)
        if fetched is None:
            return None
        try:
            await asyncio.to_thread(self._check, fetched)
            offer = fetched.effective(may_disable=self._central.allow_disable)
        except ConfigError as error:
            client.forget()  # fetch it again: it stays refused, or its time comes
            early = isinstance(error, ConfigRefusedError) and error.code == "early"
            problem = f"{error} Recording continues with the current configuration."
            if problem != self._refusal:
                log.log(logging.INFO if early else logging.ERROR, "%s", problem)
            self._refusal = self._problem = problem
            self._fetch_state = "current" if early else "refused"
            return None
        self._refusal = ""
        if self._trust.required:
            self._state = self._state.see(fetched.version)
        return offer

    def _check(self, offer: OfferedConfig) -> None:
        now_ms = self._clock_ms()
        self._trust.check(
            offer,
            self._own.site,
            self._state.newest_seen,
            None if plainly_wrong(now_ms) else now_ms,
        )

    async def _fetch(self, client: ConfigClient) -> OfferedConfig | None:
        try:
            offer = await client.newest()
        except ConfigNotSetError as error:
            self._link.succeeded()
            self._fetch_state, self._problem = "none", str(error)
            return None
        except (StoreError, ConfigError) as error:
            self._link.failed(error)
            self._fetch_state = "out-of-reach"
            self._problem = f"{error} Recording continues with the current configuration."
            return None
        self._link.succeeded()
        self._fetch_state, self._problem = "current", ""
        return offer

    async def _try_version(self, offer: SiteVersion, target: ConfigTarget) -> bool:
        """Try a version; False: fetch it again later, the disk could not be written."""
        try:
            config = self._merged(offer)
        except ConfigError as error:
            await self._reject(offer, str(error))
            return True
        if self._state.has_same_content(offer):  # nothing to try: only the number is new
            return await self._save(self._state.accept(offer))
        # Written first: if the trial ends this program, the next start counts the attempt.
        if not await self._save(self._state.start_trial(offer)):
            return False
        log.info("version %d of the site's configuration is on trial", offer.version)
        previous, self._on_trial = self._in_force, offer
        try:
            failure = await self._run_trial(config, target)
            self._in_force = config
        except asyncio.CancelledError:
            self._state = self._state.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SHUTDOWN_WRITE_S):
                    await self._save(self._state)
            raise
        except Exception as error:
            log.exception("unexpected error during the trial")
            failure = f"unexpected error ({type(error).__name__})"
        finally:
            self._on_trial = None
        if not failure:
            log.info("version %d of the site's configuration is in force", offer.version)
            await self._save(self._state.accept(offer))
            CONFIG_VERSION.set(offer.version)
            return True
        # Rollback.
        self._in_force = previous
        await self._reject(offer, failure)
        await target.apply(previous)
        return True

    async def _run_trial(self, config: EdgeConfig, target: ConfigTarget) -> str:
        """Apply and watch; return why the trial failed, or ""."""
        trial_s = self._central.trial_s
        settle_until_s = time.monotonic() + trial_s
        while True:  # right after a start, it is not yet known which cameras work
            if target.settled or time.monotonic() >= settle_until_s:
                break
            await asyncio.sleep(_POLL_S)
        required = target.healthy()
        await target.apply(config)
        trial = Trial(time.monotonic() + trial_s, trial_s / 6, config.inference.start_s)
        while True:
            unhealthy, fatal = target.unhealthy(required)
            trial, verdict, why = trial.judge(time.monotonic(), unhealthy, fatal)
            if verdict != "pending":
                return why if verdict == "failed" else ""
            await asyncio.sleep(_POLL_S)

    async def _reject(self, offer: SiteVersion, why: str) -> None:
        log.error("version %d of the site's configuration is rejected: %s", offer.version, why)
        await self._save(self._state.reject(offer, why[:_MAX_DETAIL]))

    async def _save(self, state: RolloutState) -> bool:
        """Store a state and make it current; False, with a log entry: it cannot be written."""
        try:
            await asyncio.to_thread(self._store.save, state)
        except OSError as error:
            self._problem = (
                f"the site's configuration cannot be written to this disk: {error.strerror}."
            )
            log.error("%s", self._problem)
            # A verdict counts without the disk; a trial does not start without it.
            if state.on_trial is None:
                self._state = state
            return False
        self._state = self._stored_state = state
        return True

    def _merged(self, version: SiteVersion, *, confined: bool = True) -> EdgeConfig:
        source = f"version {version.version}"
        return merge(self._own, version.document(), source, confined=confined)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
