"""The demo's entries in the catalog: the schema, the cameras, an API key."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from domain.times import utc_ms
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.keys import create_key, find_key


def ask_catalog(database_url: str, cameras: Mapping[str, str], key_file: Path) -> str:
    """Migrate, add the cameras (id -> name), return the API key, which `key_file` keeps."""
    return asyncio.run(_prepare(database_url, cameras, key_file))


async def _prepare(database_url: str, cameras: Mapping[str, str], key_file: Path) -> str:
    await migrate(database_url)
    now_ms = utc_ms()
    async with Catalog(database_url, size=1) as catalog:
        for camera, name in cameras.items():
            await add_camera(catalog, camera, name, now_ms)
        key = _known(key_file)
        if key and await find_key(catalog, key):
            return key
        key = await create_key(catalog, "demo", now_ms)
        _keep(key_file, key)
        return key


def _known(key_file: Path) -> str:
    return key_file.read_text() if key_file.exists() else ""


def _keep(key_file: Path, key: str) -> None:
    descriptor = os.open(key_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
