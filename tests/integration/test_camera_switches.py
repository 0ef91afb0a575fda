"""Disabled cameras and time zones of sites, by commands; what an edge gets to know of it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from cli.main import main
from domain.site_config import canonical, digest_of
from stores.catalog import Catalog, add_camera, known_cameras
from stores.catalog.alembic_runner import migrate
from stores.catalog.keys import create_key
from stores.catalog.site_configs import get_config, set_config
from tests.integration.catalog_support import CAMERA, T0, fresh_database, scalar
from tests.integration.web_support import Web, running_web

SITE = "acme/hq"
DOOR = "acme/hq/door"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, DOOR, "Door", T0)
        yield running


async def command(capsys, *arguments: str) -> str:
    """Run `vigil`; return what it prints, or why it refuses."""
    with pytest.raises(SystemExit) as left:
        await asyncio.to_thread(main, list(arguments))
    return capsys.readouterr().out if left.value.code == 0 else str(left.value.code)


async def configure(web: Web) -> str:
    cameras = [{"id": name, "url": f"rtsp://{name}"} for name in ("gate", "door")]
    text = canonical({"cameras": cameras})
    await set_config(web.catalog, SITE, text, now_ms=T0, by="Ann", note="")
    return text


async def as_edge(web: Web) -> dict[str, str]:
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'edge', T0, SITE)}"}


async def test_the_edge_gets_a_configuration_without_the_disabled_camera(web: Web, capsys) -> None:
    text = await configure(web)
    url, headers = f"/api/v1/sites/{SITE}/config", await as_edge(web)
    first = await web.stranger.get(url, headers=headers)
    whole = await first.json()
    assert whole["document"] == text

    printed = await command(capsys, "camera", "disable", CAMERA)
    assert printed == f"{CAMERA} is disabled.\n"
    assert f"{CAMERA}  " in await command(capsys, "camera", "list")
    answer = await web.stranger.get(
        url, headers={**headers, "If-None-Match": first.headers["ETag"]}
    )
    assert answer.status == 200, "the edge learns of it"
    less = await answer.json()
    assert [each["id"] for each in json.loads(less["document"])["cameras"]] == ["door"]
    assert less["digest"] == digest_of(less["document"]) != whole["digest"]
    assert less["version"] == whole["version"], "no version was added"

    refused = await command(capsys, "camera", "disable", DOOR)
    assert "All cameras in the configuration of acme/hq would be disabled" in refused
    await command(capsys, "camera", "enable", CAMERA)
    assert (await (await web.stranger.get(url, headers=headers)).json()) == whole
    stored = await get_config(web.catalog, SITE)
    assert stored is not None and stored.text == text


async def test_a_new_version_obeys_what_is_disabled(web: Web, capsys) -> None:
    await configure(web)
    await command(capsys, "camera", "disable", CAMERA)
    text = canonical({"cameras": [{"id": "gate", "url": "rtsp://gate"}]})
    with pytest.raises(Exception, match="would be disabled"):
        await set_config(web.catalog, SITE, text, now_ms=T0, by="Ann", note="")
    stored = await get_config(web.catalog, SITE)
    assert stored is not None and stored.version == 1


async def test_without_a_configuration_the_command_says_that_no_edge_learns_of_it(
    web: Web, capsys
) -> None:
    assert "Its edge does not learn of it" in await command(capsys, "camera", "disable", CAMERA)
    assert await known_cameras(web.catalog) == {CAMERA, DOOR}, "its events are still accepted"
    assert "is not registered" in await command(capsys, "camera", "disable", "acme/hq/none")


async def test_a_site_has_a_zone(web: Web, capsys) -> None:
    assert "UTC" in await command(capsys, "site", "list")
    printed = await command(capsys, "site", "set", SITE, "--zone", "Asia/Tokyo", "--name", "本社")
    assert printed == "acme/hq (本社) has the time zone Asia/Tokyo.\n"
    assert "Asia/Tokyo" in await command(capsys, "site", "list")
    for zone in ("Mars/Base", "../../etc/passwd", "localtime", "", "x" * 10_000):
        refused = await command(capsys, "site", "set", SITE, "--zone", zone)
        assert "not an IANA time zone" in refused, zone
    made = await command(capsys, "site", "set", "acme/new", "--zone", "Europe/Berlin")
    assert made == "acme/new (new) has the time zone Europe/Berlin.\n"


async def test_sites_of_an_older_installation_get_utc(services) -> None:
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        await migrate(dsn, revision="0013")
        async with Catalog(dsn, size=1) as catalog:
            await scalar(catalog, "INSERT INTO tenants VALUES ('acme', 'Acme', 1)")
            await scalar(catalog, "INSERT INTO sites VALUES ('acme/hq', 'acme', 'HQ', 1)")
            await migrate(dsn)
            assert await scalar(catalog, "SELECT zone FROM sites") == "UTC"
            # A worker of the version before does not know the column.
            await scalar(catalog, "INSERT INTO sites VALUES ('acme/lab', 'acme', 'Lab', 2)")
            assert await scalar(catalog, "SELECT count(*) FROM sites WHERE zone = 'UTC'") == 2


async def test_commands_do_what_the_api_does(web: Web, capsys) -> None:
    key = (
        await command(capsys, "key", "create", "--name", "nvr", "--grant", "viewer:acme")
    ).strip()
    number = str(await scalar(web.catalog, "SELECT max(id) FROM api_keys"))
    new = (await command(capsys, "key", "rotate", number, "--old-expires", "1h")).strip()
    assert new.startswith("vigil_") and new != key
    assert "both valid" in await command(capsys, "key", "rotate", number)
    assert "no valid key 999" in await command(capsys, "key", "rotate", "999")
    printed = await command(capsys, "retention", "set", "acme", "--days", "1", "--preview")
    assert "To delete, of 0 cameras: 0 chunks" in printed
    assert await scalar(web.catalog, "SELECT count(*) FROM retention_rules") == 0
    start = ("--from", "2026-01-01T00:00:00Z")
    await command(capsys, "hold", "add", "acme", *start, "--why", "case 7")
    assert "control character" in await command(capsys, "hold", "lift", "1", "--why", "a\x07")
    assert "Lifted" in await command(capsys, "hold", "lift", "1", "--why", "closed")
    assert "(closed)" in await command(capsys, "hold", "list", "--all")
    async with web.catalog.transaction() as connection:
        rows = await connection.fetch("SELECT entry FROM vigil_audit.entries")
    acts = [json.loads(row["entry"]) for row in rows]
    done = {act["action"] for act in acts if act["actor"].startswith("cli:")}
    assert {"key:create", "key:rotate", "hold:place", "hold:lift"} <= done
