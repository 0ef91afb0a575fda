"""The configuration part of `vigil edge check`: does the catalog send one that is valid?"""

import asyncio
from dataclasses import dataclass

from domain.errors import ConfigError, VigilError
from domain.times import utc_ms
from edge_bridge.config import EdgeConfig
from edge_bridge.config.remote import CentralConfig
from edge_bridge.remote_config.client import ConfigClient, ConfigNotSetError, KeySource
from edge_bridge.remote_config.manager import RemoteConfigManager, file_trust
from edge_bridge.remote_config.merge import merge
from edge_bridge.upload.link import Link


@dataclass(frozen=True, slots=True)
class Preflight:
    """The configuration to check, and what was found; `error` is "" if all is well."""

    config: EdgeConfig
    summary: str = ""
    error: str = ""


async def fetch_config(own: EdgeConfig) -> Preflight:
    """Fetch the site's configuration; without the catalog, use the one that is stored here."""
    central = own.central
    if central is None:
        return Preflight(own)
    try:
        config, version = await _newest(own, central)
    except (VigilError, ConfigError) as error:
        manager = RemoteConfigManager(own, central, Link("central"))
        return Preflight(await asyncio.to_thread(manager.boot), error=str(error))
    return Preflight(config, f"version {version}, cameras: {len(config.cameras)}")


async def _newest(own: EdgeConfig, central: CentralConfig) -> tuple[EdgeConfig, int]:
    """Return the newest configuration in the catalog, and its version; raises VigilError."""
    trust = file_trust(own, central)
    async with ConfigClient(KeySource(central, own.site, signed=trust.required)) as client:
        offer = await client.newest()
    if offer is None:
        raise ConfigNotSetError("the catalog sent nothing.")
    await asyncio.to_thread(trust.check, offer, own.site, None, utc_ms())
    version = offer.effective(may_disable=central.allow_disable)
    return merge(own, version.document(), f"version {version.version}"), version.version
