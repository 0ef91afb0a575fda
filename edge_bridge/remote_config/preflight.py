"""The configuration part of `vigil edge check`: does the catalog send one that is valid?"""

import asyncio
from dataclasses import dataclass

from domain.errors import ConfigError, VigilError
from edge_bridge.config import EdgeConfig
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.remote_config.manager import RemoteConfigManager
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
    identity = await asyncio.to_thread(DeviceIdentity, own.identity_folder)
    manager = RemoteConfigManager(own, central, Link("central"), identity=identity)
    stored = await asyncio.to_thread(manager.boot)
    try:
        version = await manager.newest()
        config = merge(own, version.document(), f"version {version.version}")
    except (VigilError, ConfigError) as error:
        return Preflight(stored, error=str(error))
    return Preflight(config, f"version {version.version}, cameras: {len(config.cameras)}")
