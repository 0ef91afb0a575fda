"""An enrolled device follows the configuration that the pinned key has signed, and no other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.audit import BY_SYSTEM
from domain.signed_config import sign_config
from domain.site_config import ConfigSignature, canonical, digest_of
from edge_bridge.edge import Edge
from edge_bridge.remote_config.preflight import fetch_config
from stores.catalog.config_keys import add_config_key
from stores.catalog.site_configs import set_config
from tests.footage import write_clip
from tests.identity_site import IdentitySite, identity_site
from tests.integration.catalog_support import T0
from tests.waiting import wait_for

KEY = Ed25519PrivateKey.generate()
CENTRAL = {"every_s": 1, "trial_s": 5, "allow_clips": True}


@pytest.fixture
async def site(services, tmp_path: Path, free_port: int) -> AsyncIterator[IdentitySite]:
    write_clip(tmp_path / "clip.mp4", 250)
    name = f"acme/config-{free_port}"
    async with identity_site(services, tmp_path, free_port, name, central=CENTRAL) as running:
        yield running


def document(site: IdentitySite, camera: str) -> str:
    url = f"{(site.folder / 'clip.mp4').as_uri()}?loop=1"
    return canonical({"cameras": [{"id": camera, "url": url, "audio": False}]})


def sign(site: str, version: int, text: str) -> ConfigSignature:
    return sign_config(KEY, site, version, T0, text)


async def until(edge: Edge, camera: str, **wanted: Any) -> None:
    """Wait until health reports this configuration, and the camera records."""

    def so() -> bool:
        report = edge.report()
        recording = [one["camera"] for one in report["cameras"] if one["state"] == "recording"]
        config = report["config"]
        detail = wanted.get("detail", "") in config["detail"]
        return (
            detail
            and (config["version"], config["state"]) == (wanted["version"], wanted["state"])
            and [one.rsplit("/", 1)[1] for one in recording] == [camera]
        )

    await wait_for(so, within_s=60, what=lambda: str(edge.report()))


async def test_it_takes_what_its_key_has_signed(site: IdentitySite) -> None:
    catalog, public = site.address.catalog, KEY.public_key().public_bytes_raw()
    async with catalog.transaction() as connection:
        await add_config_key(connection, public, None, now_ms=T0, origin=BY_SYSTEM)
    text = document(site, "door")
    await set_config(catalog, site.name, text, now_ms=T0, by="Ann", note="", sign=sign)
    before = await fetch_config(site.config)
    assert "not enrolled" in before.error
    await site.enrol()
    async with site.edge() as edge:
        await until(edge, "door", version=1, state="current")
        # Somebody who writes the catalog, but has not the key.
        other = document(site, "yard")
        async with catalog.transaction() as connection:
            await connection.execute(
                "INSERT INTO site_configs (site, version, document, digest, set_ms, set_by, note) "
                "VALUES ($1, 2, $2, $3, 0, 'x', '')",
                site.name,
                other,
                digest_of(other),
            )
        await until(edge, "door", version=1, state="refused", detail="is not signed")
        await set_config(
            catalog, site.name, other, now_ms=T0, by="A", note="", again=True, sign=sign
        )
        await until(edge, "yard", version=3, state="current")
    found = await fetch_config(site.config)
    assert (found.error, found.summary) == ("", "version 3, cameras: 1")
