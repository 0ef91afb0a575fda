"""A site's configuration in the catalog: its versions, its address, its keys, its command."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.main import main
from domain.access import Grant, Role
from domain.audit import BY_SYSTEM
from domain.errors import ConfigError
from domain.events import Heartbeat
from domain.signed_config import check_offer, sign_config
from domain.site_config import ConfigRefusedError, ConfigSignature, canonical, digest_of
from edge_bridge.remote_config.client import parse_offer
from stores.catalog import add_camera, index_heartbeats, known_cameras
from stores.catalog.config_keys import add_config_key, newest_config_key
from stores.catalog.keys import create_key, list_keys, revoke_key
from stores.catalog.site_configs import (
    config_history,
    get_config,
    get_offer,
    roll_back,
    set_config,
)
from stores.catalog.tenants import lock_site
from tests.integration.catalog_support import T0
from tests.integration.web_support import Web, changed_settings, running_web
from web.sessions import RECHECK_MS

SITE = "acme/hq"
PATH = f"/api/v1/sites/{SITE}/config"
CAMERAS = [{"id": "gate", "url": "rtsp://192.0.2.1/x", "username": "u", "password_file": "gate.pw"}]


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


async def placed(web: Web, document: dict[str, object], **more: bool):
    return await set_config(
        web.catalog, SITE, canonical(document), now_ms=T0, by="Ann", note="", **more
    )


async def test_versions_are_only_added(web: Web) -> None:
    assert await get_config(web.catalog, SITE) is None
    one, two = {"cameras": [{"id": "ä", "x": 0.1}]}, {"cameras": [{"id": "b"}]}
    first, made = await placed(web, one)
    assert (first.version, made) == (1, True)
    assert (await placed(web, one))[0].version == 1
    assert (await placed(web, two))[0].version == 2
    assert (await placed(web, two, again=True))[0].version == 3
    back = await roll_back(web.catalog, SITE, 1, now_ms=T0 + 1, by="Bob", note="")
    assert (back.version, back.document()) == (4, one)
    assert await get_config(web.catalog, SITE) == back
    for nothing in (9, 0, 1 << 40):
        with pytest.raises(ConfigError, match="has no version"):
            await roll_back(web.catalog, SITE, nothing, now_ms=T0, by="Bob", note="")
    history = await config_history(web.catalog, SITE)
    assert [(each.version, each.set_by, each.note) for each in history] == [
        (4, "Bob", "back to version 1"), (3, "Ann", ""), (2, "Ann", ""), (1, "Ann", "")
    ]  # fmt: skip


async def test_administrators_read_the_versions_over_the_api(web: Web) -> None:
    documents = [{"cameras": [{"id": str(number)}]} for number in range(5)]
    for document in documents:
        await placed(web, document)
    path = f"/api/v1/sites/{SITE}/config-versions"
    admin = await create_key(web.catalog, "admin", T0, None, [Grant(Role.ADMIN, SITE)])
    headers = {"Authorization": f"Bearer {admin}"}
    seen, cursor = [], ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = await (await web.stranger.get(f"{path}?limit=2{more}", headers=headers)).json()
        seen += page["versions"]
        cursor = page["next"]
    assert [each["version"] for each in seen] == [5, 4, 3, 2, 1]
    assert (seen[0]["set_by"], seen[0]["signed_by"], "document" in seen[0]) == ("Ann", None, False)
    answer = await web.stranger.get(f"{path}/2", headers=headers)
    found = await answer.json()
    assert (json.loads(found["document"]), found["digest"]) == (documents[1], seen[3]["digest"])
    for wrong in ("9", "0", "x", str(1 << 40)):
        assert (await web.stranger.get(f"{path}/{wrong}", headers=headers)).status == 404
    viewer = await create_key(web.catalog, "viewer", T0, None, [Grant(Role.VIEWER, SITE)])
    other = await create_key(web.catalog, "other", T0, None, [Grant(Role.ADMIN, "globex")])
    edge = await create_key(web.catalog, "hq", T0, SITE)
    for key, status in ((viewer, 403), (other, 404), (edge, 403)):
        headers = {"Authorization": f"Bearer {key}"}
        for each in (path, f"{path}/2"):
            assert (await web.stranger.get(each, headers=headers)).status == status


async def test_two_who_set_at_once_make_two_versions(web: Web) -> None:
    made = await asyncio.gather(*(placed(web, {"cameras": [{"id": str(n)}]}) for n in range(6)))
    assert sorted(each.version for each, _ in made) == list(range(1, 7))


async def test_an_edge_reads_its_own_site_and_nothing_else(web: Web) -> None:
    key = await create_key(web.catalog, "hq", T0, SITE)
    sent = {"Authorization": f"Bearer {key}"}
    none = await web.stranger.get(PATH, headers=sent)
    assert (none.status, none.content_type) == (404, "application/problem+json")
    made, _ = await placed(web, {"cameras": CAMERAS})
    answer = await web.stranger.get(PATH, headers=sent)
    body = await answer.json()
    assert body == {"version": 1, "digest": made.digest, "document": made.text}
    assert digest_of(body["document"]) == body["digest"]
    again = {**sent, "If-None-Match": answer.headers["ETag"]}
    same = await web.stranger.get(PATH, headers=again)
    assert (same.status, await same.read()) == (304, b"")
    await placed(web, {"cameras": CAMERAS, "fragment_s": 5})
    assert (await (await web.stranger.get(PATH, headers=again)).json())["version"] == 2
    for other in (
        "/api/v1/sites/acme/other/config", "/api/v1/cameras", "/api/v1/cameras/acme/hq/gate",
        "/metrics",
    ):  # fmt: skip
        assert (await web.stranger.get(other, headers=sent)).status == 403, other
    for nothing in ("/api/v1/nothing", "/api/v1/sites/acme/hq/config/x"):
        assert (await web.stranger.get(nothing, headers=sent)).status == 404, nothing
    for foreign in ("/api/v1/cameras/other/hq/gate", "/api/v1/cameras/acme/other/gate"):
        assert (await web.stranger.get(foreign, headers=sent)).status == 404, foreign
    refused = await web.stranger.post("/api/v1/session", json={"key": key})
    assert refused.status == 403
    assert "Set-Cookie" not in refused.headers


KEY_SETTING = "VIGIL_CONFIG_KEY_FILE"
SIGNED_PATH = f"/api/v1/sites/{SITE}/signed-config"


async def test_a_signed_version_is_served_as_it_was_signed(web: Web) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    sent = {"Authorization": f"Bearer {await create_key(web.catalog, 'hq', T0, SITE)}"}

    def sign(site: str, version: int, text: str) -> ConfigSignature:
        return sign_config(key, site, version, T0, text)

    assert (await web.stranger.get(SIGNED_PATH, headers=sent)).status == 404
    unsigned, _ = await placed(web, {"cameras": CAMERAS})
    body = await (await web.stranger.get(SIGNED_PATH, headers=sent)).json()
    assert (body["version"], body["signature"], body["successors"]) == (1, None, [])
    with pytest.raises(ConfigError, match="not the newest"):
        await placed(web, {"cameras": CAMERAS}, again=True, sign=sign)
    async with web.catalog.transaction() as connection:
        assert await newest_config_key(connection) is None
        await add_config_key(connection, public, None, now_ms=T0, origin=BY_SYSTEM)
        assert await newest_config_key(connection) == public
    with pytest.raises(ConfigError, match="VIGIL_CONFIG_KEY_FILE"):
        await placed(web, {"cameras": CAMERAS}, again=True)
    made, _ = await placed(web, {"cameras": CAMERAS}, again=True, above=8, sign=sign)
    assert made.version == 9
    answer = await web.stranger.get(SIGNED_PATH, headers=sent)
    offer = parse_offer(await answer.read())
    assert check_offer(offer, SITE, public, (1, unsigned.digest), T0) == public
    assert (offer.version, offer.disabled) == (made, frozenset())
    again = {**sent, "If-None-Match": answer.headers["ETag"]}
    assert (await web.stranger.get(SIGNED_PATH, headers=again)).status == 304
    # Disabling a camera changes neither the version nor what is signed.
    for camera in CAMERAS:
        await add_camera(web.catalog, f"{SITE}/{camera['id']}", "", T0)
    async with web.catalog.transaction() as connection:
        await connection.execute(
            "UPDATE cameras SET disabled_ms = 1 WHERE id = $1", f"{SITE}/{CAMERAS[0]['id']}"
        )
    changed = parse_offer(await (await web.stranger.get(SIGNED_PATH, headers=again)).read())
    assert changed.version == made
    assert changed.disabled == {CAMERAS[0]["id"]}
    assert check_offer(changed, SITE, public, (9, made.digest), T0) == public
    # A device of the version before reads what it always read.
    plain = await (await web.stranger.get(PATH, headers=sent)).json()
    assert sorted(plain) == ["digest", "document", "version"]


async def test_the_key_is_made_rotated_and_signs(web: Web, tmp_path: Path, capsys) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump({"cameras": CAMERAS}))
    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    setting = ["site", "config", "set", SITE, "--file", str(file)]

    async def run(*arguments: str, key: Path | None = None) -> str:
        env = {"VIGIL_DATABASE_URL": web.catalog._dsn}
        async with changed_settings(env | ({} if key is None else {KEY_SETTING: str(key)})):
            with pytest.raises(SystemExit) as ended:
                await asyncio.to_thread(main, list(arguments))
        return f"{ended.value.code or ''}{capsys.readouterr().out}"

    assert "version 1 now" in await run(*setting)
    assert "VIGIL_CONFIG_KEY_FILE" in await run("site", "config", "sign", SITE)
    assert "Keep it where no worker reads it" in await run("config-key", "create", str(first))
    assert first.stat().st_mode & 0o777 == 0o600
    assert "is in use" in await run("config-key", "create", str(second))
    assert not second.exists()
    assert "VIGIL_CONFIG_KEY_FILE" in await run(*setting, "--again")
    assert "version 2 now, signed" in await run("site", "config", "sign", SITE, key=first)
    assert "cannot be made" in await run("config-key", "rotate", str(first), key=first)
    await run("config-key", "rotate", str(second), key=first)
    assert "not the newest" in await run("site", "config", "sign", SITE, key=first)
    rolled = await run("site", "config", "rollback", SITE, "--to", "1", key=second)
    assert "version 3 now" in rolled
    history = await run("site", "config", "history", SITE)
    assert [" signed " in line for line in history.splitlines()] == [True, True, False]
    offer = await get_offer(web.catalog, SITE)
    assert offer is not None
    keys = (await run("config-key", "list")).splitlines()
    newest, oldest = (bytes.fromhex(line.split()[2]) for line in keys)
    assert check_offer(offer, SITE, oldest, None, None) == newest
    waits = await run(*setting, "--again", "--not-before", "2999-01-01T00:00:00Z", key=second)
    assert "version 4 now" in waits
    offer = await get_offer(web.catalog, SITE)
    assert offer is not None
    with pytest.raises(ConfigRefusedError, match="2999-01-01"):
        check_offer(offer, SITE, newest, None, T0)


async def test_other_keys_do_not_read_it(web: Web) -> None:
    await placed(web, {"cameras": CAMERAS})
    elsewhere = await create_key(web.catalog, "other", T0, "acme/other")
    assert (await web.client.get(PATH)).status == 403  # a person's key
    assert (await web.stranger.get(PATH)).status == 401
    sent = {"Authorization": f"Bearer {elsewhere}"}
    assert (await web.stranger.get(PATH, headers=sent)).status == 403


async def test_a_revoked_key_is_refused(web: Web) -> None:
    await placed(web, {"cameras": CAMERAS})
    key = await create_key(web.catalog, "hq", T0, SITE)
    sent = {"Authorization": f"Bearer {key}"}
    assert (await web.stranger.get(PATH, headers=sent)).status == 200
    number = next(each.id for each in await list_keys(web.catalog) if each.edge_of == SITE)
    await revoke_key(web.catalog, number, T0)
    web.set_now(T0 + 60_000 + RECHECK_MS)
    assert (await web.stranger.get(PATH, headers=sent)).status == 401


async def test_the_command(web: Web, tmp_path: Path, capsys) -> None:
    file = tmp_path / "edge.yaml"

    async def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as left:
            await asyncio.to_thread(main, ["site", "config", *arguments])
        return capsys.readouterr().out if left.value.code == 0 else str(left.value.code)

    def write(**changes: object) -> None:
        file.write_text(yaml.safe_dump({"cameras": CAMERAS, **changes}))

    write(site=SITE, spool={"dir": "x"})
    output = await run("set", SITE, "--file", str(file), "--note", "first")
    assert "Left out" in output
    assert "site, spool" in output
    assert "version 1 now (cameras: 1)" in output
    write(cameras=[*CAMERAS, {"id": "yard", "url": "rtsp://192.0.2.2/x"}])
    output = await run("set", SITE, "--file", str(file))
    assert "Registered in the catalog: yard." in output
    assert f"{SITE}/yard" in await known_cameras(web.catalog)
    assert "Nothing has changed" in await run("set", SITE, "--file", str(file))
    assert "version 3 now" in await run("rollback", SITE)
    assert "yard" not in await run("show", SITE)
    assert "yard" in await run("show", SITE, "--version", "2")
    assert "first" in await run("history", SITE)
    assert "has no configuration" in await run("show", "acme/none")
    for changes, sentence in (
        ({"site": "acme/other"}, "is for the site acme/other"),
        ({"camera": []}, "`camera` is not kept in the catalog"),
        ({"cameras": []}, "`cameras` is missing"),
        ({"inference": {"modle": "hog"}}, "did you mean `model`?"),
        ({"cameras": [{**CAMERAS[0], "password_file": "/etc/shadow"}]}, "must be a path inside"),
        ({"cameras": [{**CAMERAS[0], "password_file": "a/../../b"}]}, "must be a path inside"),
        (
            {"cameras": [{"id": "a", "url": "rtsp://192.0.2.1/x?user=a&password=b"}]},
            "contains a password",
        ),
        ({"cameras": [{"id": "a", "url": "rtsp://u:p@192.0.2.1/x"}]}, "contains a password"),
        (
            {
                "cameras": [
                    {
                        "id": "a",
                        "url": "rtsp://192.0.2.1/x",
                        "username": "u",
                        "password_env": "AWS_SECRET_ACCESS_KEY",
                    }
                ]
            },
            "must begin with CAMERA_",
        ),
    ):
        write(**changes)
        assert sentence in await run("set", SITE, "--file", str(file)), changes
    assert len(await config_history(web.catalog, SITE)) == 3


async def test_reports_of_edges_are_shown(web: Web, tmp_path: Path, capsys) -> None:
    await placed(web, {"cameras": CAMERAS})

    def heartbeat(edge: str, **more: object) -> Heartbeat:
        return Heartbeat(
            site=SITE, edge=edge, sent_ms=T0, spool_bytes=0, spool_waiting=0, disk_free_bytes=0,
            **more,
        )  # fmt: skip

    why = "version 2 is refused: gate: no route"
    rejecting = heartbeat("edge-1", config_version=1, config_state="refused", config_detail=why)
    await index_heartbeats(web.catalog, [rejecting, heartbeat("edge-2")], T0)
    with pytest.raises(SystemExit) as left:
        await asyncio.to_thread(main, ["site", "config", "show", SITE])
    output = capsys.readouterr().out
    assert left.value.code == 0
    assert f"version 1, refused. {why}" in output
    assert "edge-2" in output
    assert "does not use a stored configuration" in output


async def test_the_file_of_a_site_is_applied(web: Web, capsys) -> None:
    """`vigil site apply`: name, zone, limit of uploads. A second time nothing changes."""
    example = Path(__file__).parents[2] / "ops/sites/example/s0042.yaml"

    async def run() -> str:
        async with changed_settings({"VIGIL_DATABASE_URL": web.catalog._dsn}):
            with pytest.raises(SystemExit) as ended:
                await asyncio.to_thread(main, ["site", "apply", str(example)])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "acme/berlin: has no configuration yet" in await run()
    async with web.catalog.transaction() as connection:
        site = await lock_site(connection, "acme/berlin")
    assert site is not None
    assert (site.name, site.zone) == ("Berlin, main gate", "Europe/Berlin")
    document = {"cameras": CAMERAS, "upload": {"order": "oldest", "limit_kbit": 8}}
    await set_config(web.catalog, "acme/berlin", canonical(document), now_ms=T0, by="Ann", note="")
    assert "has version 2 now, with at most 80000 kbit/s" in await run()
    assert "stays at version 2" in await run()
    newest = await get_config(web.catalog, "acme/berlin")
    assert newest is not None
    assert newest.document()["upload"] == {
        "order": "oldest", "limit_kbit": 80_000, "time_zone": "Europe/Berlin",
    }  # fmt: skip
