"""What the API changes: tenants, sites, cameras, holds; own and foreign, twice, and at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientResponse

from domain.access import Grant, Role
from domain.events import RunEnded, RunStarted
from domain.site_config import canonical
from stores.catalog import add_camera, index_fragments, index_runs
from stores.catalog.audit_log import AuditFilter, find_entries
from stores.catalog.keys import create_key
from stores.catalog.retention_rules import list_holds
from stores.catalog.site_configs import set_config
from tests.integration.catalog_support import CAMERA, T0, fragment, run_id, scalar
from tests.integration.web_support import Web, running_web

FOREIGN = "globex/plant/door"
API = "/api/v1"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, FOREIGN, "Door", T0)
        yield running


class Client:
    """Sends JSON as a key with some grants."""

    def __init__(self, web: Web, key: str) -> None:
        self._web = web
        self.headers = {"Authorization": f"Bearer {key}"}

    async def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> ClientResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._web.stranger.request(
            method, f"{API}{path}", json=body, headers={**self.headers, **named}
        )

    async def get(self, path: str) -> Any:
        answer = await self.send("GET", path)
        assert answer.status == 200, (path, await answer.text())
        return await answer.json()


async def client(web: Web, *grants: str) -> Client:
    given = [Grant(Role(role), scope) for role, scope in (grant.split(":") for grant in grants)]
    return Client(web, await create_key(web.catalog, "Ann", T0, None, given))


async def audit(web: Web) -> list[tuple[str, str, str]]:
    async with web.catalog.transaction() as connection:
        rows = await connection.fetch("SELECT chain, entry FROM vigil_audit.entries ORDER BY seq")
    entries = [(row["chain"], json.loads(row["entry"])) for row in rows]
    return [
        (chain, each["action"], each["resource"])
        for chain, each in entries
        if each["actor"] != "system"  # the test's own preparations
    ]


async def test_a_tenant_is_created_renamed_and_listed(web: Web) -> None:
    admin = await client(web, "admin:*")
    made = await admin.send("POST", "/tenants", {"id": "initech", "name": "Initech 大"})
    assert made.status == 201
    assert made.headers["Location"] == "/api/v1/tenants/initech"
    assert (await made.json())["name"] == "Initech 大"
    assert (await admin.send("POST", "/tenants", {"id": "initech", "name": "x"})).status == 409
    read = await admin.send("GET", "/tenants/initech")
    assert read.headers["ETag"] == made.headers["ETag"]
    renamed = await admin.send(
        "PATCH", "/tenants/initech", {"name": "Tür"}, If_Match=read.headers["ETag"]
    )
    assert (renamed.status, (await renamed.json())["name"]) == (200, "Tür")
    late = await admin.send(
        "PATCH", "/tenants/initech", {"name": "z"}, If_Match=read.headers["ETag"]
    )
    assert late.status == 412
    assert (await late.json())["current"]["name"] == "Tür"
    assert (await admin.send("PATCH", "/tenants/initech", {"name": "z"})).status == 428
    listed = await admin.get("/tenants?limit=2")
    assert [each["id"] for each in listed["tenants"]] == ["acme", "globex"]
    following = await admin.get(f"/tenants?limit=2&cursor={listed['next']}")
    assert [each["id"] for each in following["tenants"]] == ["initech"]
    assert following["next"] is None
    assert await audit(web) == [
        ("initech", "tenant:create", "initech"),
        ("initech", "tenant:update", "initech"),
    ]


async def test_a_tenants_admin_changes_his_own_only(web: Web) -> None:
    admin = await client(web, "admin:acme")
    assert [each["id"] for each in (await admin.get("/tenants"))["tenants"]] == ["acme"]
    assert [each["id"] for each in (await admin.get("/sites"))["sites"]] == ["acme/hq"]
    assert (await admin.send("POST", "/tenants", {"id": "mine", "name": "x"})).status == 403
    star = {"If_Match": "*"}
    for method, path, body in (
        ("GET", "/tenants/{}", None),
        ("PATCH", "/tenants/{}", {"name": "x"}),
        ("GET", "/sites/{}/plant", None),
        ("PATCH", "/sites/{}/plant", {"name": "x"}),
        ("PATCH", "/cameras/{}/plant/door", {"name": "x"}),
        ("POST", "/sites", {"id": "{}/new", "name": "x"}),
        ("POST", "/cameras", {"id": "{}/plant/new", "name": "x"}),
        ("POST", "/holds", {"scope": "{}", "from_ms": 1, "why": "x"}),
    ):
        texts = []
        for tenant in ("globex", "nowhere"):
            sent = None if body is None else json.loads(json.dumps(body).replace("{}", tenant))
            answer = await admin.send(method, path.format(tenant), sent, **star)
            assert answer.status == 404, (method, path)
            problem = await answer.json()
            del problem["request_id"]
            texts.append(json.dumps(problem).replace(tenant, "T"))
        assert texts[0] == texts[1], "foreign as if it did not exist"
    assert await scalar(web.catalog, "SELECT name FROM sites WHERE id = 'globex/plant'") == "plant"
    assert await audit(web) == []


async def test_other_roles_change_nothing(web: Web) -> None:
    changes = (
        ("POST", "/tenants", {"id": "mine", "name": "x"}),
        ("PATCH", "/tenants/acme", {"name": "x"}),
        ("POST", "/sites", {"id": "acme/new", "name": "x"}),
        ("PATCH", "/sites/acme/hq", {"name": "x"}),
        ("POST", "/cameras", {"id": "acme/hq/new", "name": "x"}),
        ("PATCH", f"/cameras/{CAMERA}", {"name": "x"}),
        ("POST", "/keys", {"name": "x", "grants": ["viewer:acme"]}),
        ("GET", "/keys", None),
        ("POST", "/retention/preview", {"scope": "acme", "days": 1}),
        ("GET", "/retention/rules", None),
    )
    for role in ("viewer", "operator", "auditor", "monitor"):
        sender = await client(web, f"{role}:acme")
        for method, path, body in changes:
            answer = await sender.send(method, path, body, If_Match="*")
            assert answer.status == 403, (role, method, path)
        hold = await sender.send("POST", "/holds", {"scope": "acme", "from_ms": 1, "why": "x"})
        assert hold.status == (201 if role == "operator" else 403)


async def test_who_sees_one_camera_reads_the_zone_of_its_site(web: Web) -> None:
    admin, viewer = await client(web, "admin:acme"), await client(web, f"viewer:{CAMERA}")
    await admin.send("POST", "/sites", {"id": "acme/lab", "name": "Lab"})
    zone = {"zone": "Australia/Lord_Howe"}
    assert (await admin.send("PATCH", "/sites/acme/hq", zone, If_Match="*")).status == 200
    assert (await viewer.get("/sites/acme/hq"))["zone"] == "Australia/Lord_Howe"
    assert [each["id"] for each in (await viewer.get("/sites"))["sites"]] == ["acme/hq"]
    assert (await viewer.send("GET", "/sites/acme/lab")).status == 404
    assert (await viewer.get("/sites?tenant=globex"))["sites"] == []


async def test_a_site_says_what_happens_to_unsigned_events(web: Web) -> None:
    admin = await client(web, "admin:acme")
    made = await admin.send("POST", "/sites", {"id": "acme/lab", "name": "Lab"})
    assert (await made.json())["unsigned"] == "refuse", "a new site"
    warn = {"unsigned": "warn"}
    assert (await admin.send("PATCH", "/sites/acme/lab", warn, If_Match="*")).status == 200
    assert (await admin.get("/sites/acme/lab"))["unsigned"] == "warn"
    other = {"unsigned": "perhaps"}
    assert (await admin.send("PATCH", "/sites/acme/lab", other, If_Match="*")).status == 400
    operator = await client(web, "operator:acme")
    assert (await operator.send("PATCH", "/sites/acme/lab", warn, If_Match="*")).status == 403
    found = await find_entries(web.catalog, ["*"], AuditFilter(action="site:update"))
    (change,) = [each.shown() for each in found]
    assert (change["before"]["unsigned"], change["after"]["unsigned"]) == ("refuse", "warn")


BAD_NAMES = ["", " ", "a\nb", "a\u0007", "\u202egpj", "x" * 201, "x" * 10_000, 7, None, ["x"]]


async def test_names_are_text_and_nothing_else(web: Web) -> None:
    admin = await client(web, "admin:*")
    for number, name in enumerate(
        [
            "<script>alert(1)</script>",
            "'; DROP TABLE sites; --",
            "../../x",
            "Zürich 東京 🚪",
            "\\u0041",
        ]
    ):
        made = await admin.send("POST", "/sites", {"id": f"acme/s{number}", "name": name})
        assert made.status == 201
        assert made.content_type == "application/json"
        assert (await admin.get(f"/sites/acme/s{number}"))["name"] == name
    for name in BAD_NAMES:
        answer = await admin.send("POST", "/sites", {"id": "acme/bad", "name": name})
        assert answer.status == 400, name
        assert answer.content_type == "application/problem+json"
        assert len(await answer.text()) < 2_000
    for wrong in ("acme", "acme/hq/gate", "Acme/hq", "acme/../x", "acme/hq\n", "*", "a" * 10_000):
        answer = await admin.send("POST", "/sites", {"id": wrong, "name": "x"})
        assert answer.status == 400, wrong
    for zone in ("Mars", "../etc", "europe/berlin", "x" * 10_000, 7):
        answer = await admin.send("POST", "/sites", {"id": "acme/z", "name": "x", "zone": zone})
        assert answer.status == 400, zone
    unknown = await admin.send("POST", "/sites", {"id": "acme/z", "name": "x", "evil": 1})
    assert unknown.status == 400


async def test_a_camera_is_created_before_its_first_footage(web: Web) -> None:
    admin = await client(web, "admin:acme")
    body = {"id": "acme/new-site/gate", "name": "Tor"}
    made = await admin.send("POST", "/cameras", body, Idempotency_Key="one")
    again = await admin.send("POST", "/cameras", body, Idempotency_Key="one")
    assert (made.status, again.status) == (201, 201)
    assert await made.json() == await again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await admin.send("POST", "/cameras", body)).status == 409
    camera = await admin.get("/cameras/acme/new-site/gate")
    assert (camera["state"], camera["name"]) == ("new", "Tor")
    assert (await admin.get("/sites/acme/new-site"))["zone"] == "UTC"
    assert await audit(web) == [("acme", "camera:create", "acme/new-site/gate")]


async def test_two_people_edit_a_camera(web: Web) -> None:
    admin = await client(web, "admin:acme/hq")
    etag = (await admin.get(f"/cameras/{CAMERA}"))["etag"]
    answers = await asyncio.gather(
        *(
            admin.send("PATCH", f"/cameras/{CAMERA}", {"name": name}, If_Match=etag)
            for name in ("One", "Two", "Three")
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412]
    [won] = [await answer.json() for answer in answers if answer.status == 200]
    read = await admin.get(f"/cameras/{CAMERA}")
    assert (read["name"], read["etag"]) == (won["name"], won["etag"])
    assert len(await audit(web)) == 1


async def test_the_etag_of_a_camera_stays_while_it_records(web: Web) -> None:
    admin = await client(web, "admin:acme")
    before = await admin.get(f"/cameras/{CAMERA}")
    await index_fragments(web.catalog, [fragment(run_id(), 0)], T0)
    after = await admin.get(f"/cameras/{CAMERA}")
    assert after["state"] != before["state"]
    assert after["etag"] == before["etag"]


async def test_a_camera_that_is_retired_while_it_records_comes_back(web: Web) -> None:
    admin = await client(web, "admin:acme")
    run = run_id()
    await index_fragments(web.catalog, [fragment(run, 0)], T0)
    retired = await admin.send("PATCH", f"/cameras/{CAMERA}", {"retired": True}, If_Match="*")
    assert (await retired.json())["retired_ms"] == T0 + 60_000
    assert (await admin.get("/cameras"))["cameras"] == []
    later = fragment(run, 1, start_ms=T0 + 60_000)
    await index_fragments(web.catalog, [later], T0 + 64_000)
    web.set_now(T0 + 64_000)
    back = await admin.get(f"/cameras/{CAMERA}")
    assert back["retired_ms"] is None
    stale = await admin.send(
        "PATCH",
        f"/cameras/{CAMERA}",
        {"retired": False},
        If_Match=(await retired.json())["etag"],
    )
    assert stale.status == 412, "its footage brought it back since"
    gone = await admin.send("PATCH", f"/cameras/{CAMERA}", {"retired": True}, If_Match=back["etag"])
    restored = await admin.send(
        "PATCH", f"/cameras/{CAMERA}", {"retired": False}, If_Match=gone.headers["ETag"]
    )
    assert (await restored.json())["retired_ms"] is None


async def test_disabling_the_last_camera_of_a_configuration_is_a_conflict(web: Web) -> None:
    admin = await client(web, "admin:acme")
    text = canonical({"cameras": [{"id": "gate", "url": "rtsp://gate"}]})
    await set_config(web.catalog, "acme/hq", text, now_ms=T0, by="Ann", note="")
    refused = await admin.send("PATCH", f"/cameras/{CAMERA}", {"disabled": True}, If_Match="*")
    assert refused.status == 409
    assert "needs one" in (await refused.json())["detail"]
    assert (await admin.get(f"/cameras/{CAMERA}"))["disabled_ms"] is None
    assert await audit(web) == []


async def test_a_hold_is_placed_read_and_lifted(web: Web) -> None:
    operator, other = await client(web, "operator:acme"), await client(web, "operator:globex")
    body = {"scope": CAMERA, "from_ms": T0, "to_ms": T0 + 1, "why": "Fall 7 <b>"}
    made = await operator.send("POST", "/holds", body, Idempotency_Key="a")
    assert made.status == 201
    hold = await made.json()
    repeated = await operator.send("POST", "/holds", body, Idempotency_Key="a")
    assert (await repeated.json())["id"] == hold["id"]
    assert len(await list_holds(web.catalog)) == 1
    assert (hold["why"], hold["placed_by"], hold["pending_deletions"]) == ("Fall 7 <b>", "Ann", 0)
    path = made.headers["Location"].removeprefix(API)
    assert (await operator.get(path))["lifted_ms"] is None
    assert (await other.send("GET", path)).status == 404
    assert (await other.get("/holds"))["holds"] == []
    assert (await other.send("POST", f"{path}/lift", {"why": "mine"})).status == 404
    assert (await operator.send("POST", f"{path}/lift", {})).status == 400
    lifted = await operator.send("POST", f"{path}/lift", {"why": "closed"})
    assert ((await lifted.json())["lifted_why"], lifted.status) == ("closed", 200)
    assert (await operator.send("POST", f"{path}/lift", {"why": "again"})).status == 409
    assert (await operator.get("/holds"))["holds"] == []
    assert [each["id"] for each in (await operator.get("/holds?lifted=1"))["holds"]] == [hold["id"]]
    assert await audit(web) == [
        ("acme", "hold:place", f"hold:{hold['id']}"),
        ("acme", "hold:lift", f"hold:{hold['id']}"),
    ]


NO_HOLDS: list[tuple[Any, int]] = [
    ({"scope": "acme/hq/typo", "from_ms": 1, "why": "x"}, 404),
    ({"scope": "*", "from_ms": 1, "why": "x"}, 400),
    ({"scope": "acme/../globex", "from_ms": 1, "why": "x"}, 400),
    ({"scope": "acme", "from_ms": 2, "to_ms": 2, "why": "x"}, 400),
    ({"scope": "acme", "from_ms": -1, "why": "x"}, 400),
    ({"scope": "acme", "from_ms": 1 << 60, "why": "x"}, 400),
    ({"scope": "acme", "from_ms": 1.5, "why": "x"}, 400),
    ({"scope": "acme", "from_ms": "1", "why": "x"}, 400),
    ({"scope": "acme", "from_ms": 1}, 400),
    ({"scope": "acme", "from_ms": 1, "why": " "}, 400),
    ({"scope": "acme", "from_ms": 1, "why": "x" * 10_000}, 400),
    ({"scope": "acme", "from_ms": 1, "why": "a\u0000b"}, 400),
    ([], 400),
    ("x", 400),
]


async def test_what_is_not_a_hold_is_refused(web: Web) -> None:
    operator = await client(web, "operator:acme")
    for body, status in NO_HOLDS:
        answer = await operator.send("POST", "/holds", body)
        assert answer.status == status, await answer.text()
        assert answer.content_type == "application/problem+json"
    assert await list_holds(web.catalog) == []


async def test_paths_with_strange_numbers_are_404(web: Web) -> None:
    admin = await client(web, "admin:*")
    for number in ("0", "x", "-1", "1e3", "9" * 30, "%2e%2e", "1%00", "999999"):
        for path in (f"/holds/{number}", f"/keys/{number}"):
            answer = await admin.send("GET", path)
            assert answer.status in {400, 404}, path


async def test_runs_are_listed_page_by_page(web: Web) -> None:
    viewer, other = await client(web, f"viewer:{CAMERA}"), await client(web, "viewer:globex")
    runs = [run_id(T0 + number * 10_000, seed=number) for number in range(5)]
    for number, run in enumerate(runs):
        started_ms = T0 + number * 10_000
        started = RunStarted(
            camera=CAMERA, run=run, started_ms=started_ms, edge="box", stream="main"
        )
        ended = RunEnded(
            camera=CAMERA,
            run=run,
            ended_ms=started_ms + 8_000,
            last_seq=3,
            reason="camera lost",
            given_up=[(1, 2)],
        )
        await index_runs(web.catalog, [started, *([ended] if number < 4 else [])])
    path, seen, cursor = f"/cameras/{CAMERA}/runs?from={T0}&limit=2", [], ""
    while True:
        page = await viewer.get(path + cursor)
        seen += page["runs"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [each["run"] for each in seen] == runs
    assert (seen[0]["reason"], seen[0]["given_up"], seen[0]["edge"]) == ("camera lost", 2, "box")
    assert (seen[4]["ended_ms"], seen[4]["reason"]) == (None, None)
    middle = await viewer.get(f"/cameras/{CAMERA}/runs?from={T0 + 8_000}&to={T0 + 20_000}")
    assert [each["run"] for each in middle["runs"]] == runs[1:2]
    assert (await other.send("GET", path)).status == 404
    for wrong in ("cursor=x", "limit=0", "limit=9999"):
        first = f"/cameras/{CAMERA}/runs?{wrong}&from={T0}"
        assert (await viewer.send("GET", first)).status == 400
