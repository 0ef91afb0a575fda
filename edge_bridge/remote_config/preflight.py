"""Tries for `vigil edge check` whether the catalog gives this device its configuration."""

import asyncio

from domain.errors import ConfigError, VigilError
from edge_bridge.config import EdgeConfig
from edge_bridge.config.remote import CentralConfig
from edge_bridge.remote_config.client import ConfigClient, ConfigNotSetError
from edge_bridge.remote_config.manager import RemoteConfigManager
from edge_bridge.remote_config.merge import merge
from edge_bridge.upload.link import Link


async def newest(own: EdgeConfig, central: CentralConfig) -> tuple[EdgeConfig, int]:
    """Return what the catalog says now, and its version; raises VigilError."""
    async with ConfigClient(central, own.site) as asking:
        version = await asking.newest()
    if version is None:
        raise ConfigNotSetError("the catalog sent nothing.")
    return merge(own, version.document(), f"version {version.version}"), version.version


async def counting(own: EdgeConfig) -> tuple[EdgeConfig, str, str]:
    """Return the configuration to try, what was found of it in words, and the fault or nothing."""
    central = own.central
    if central is None:
        return own, "", ""
    try:
        config, number = await newest(own, central)
    except (VigilError, ConfigError) as error:
        kept = await asyncio.to_thread(RemoteConfigManager(own, central, Link("central")).boot)
        return kept, "", str(error)
    return config, f"version {number}, cameras: {len(config.cameras)}", ""
