"""Retention over the API: what was shown is deleted, or nothing is changed."""

from collections.abc import AsyncIterator

import pytest

from domain.retention import DAY_MS, LegalHold
from stores.catalog import add_camera, index_chunks, index_fragments
from stores.catalog.retention_rules import add_hold, list_rules
from tests.integration.catalog_support import CAMERA, T0, chunk, fragment, run_id, scalar
from tests.integration.test_web_resources import FOREIGN, Client, audit, client
from tests.integration.web_support import Web, running_web

NOW = T0 + 2 * DAY_MS
PREVIEW, RULE = "/retention/preview", "/retention/rule?scope="


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, FOREIGN, "Door", T0)
        run = run_id()
        events = [fragment(run, seq) for seq in range(15)]
        await index_chunks(running.catalog, [chunk(events)], T0)
        await index_fragments(running.catalog, [fragment(run, 15)], T0)
        running.set_now(NOW)
        yield running


async def preview(sender: Client, scope: str, days: int | None) -> dict:
    answer = await sender.send("POST", PREVIEW, {"scope": scope, "days": days})
    assert answer.status == 200, await answer.text()
    shown = await answer.json()
    assert answer.headers["ETag"] == shown["etag"]
    return shown


async def test_a_rule_is_previewed_then_confirmed(web: Web) -> None:
    admin = await client(web, "admin:acme")
    shown = await preview(admin, "acme", 1)
    assert (shown["deleted"]["chunks"], shown["deleted"]["fragments"]) == (1, 1)
    assert (shown["cameras"], shown["camera_ids"], shown["holds"]) == (1, [CAMERA], [])
    assert await list_rules(web.catalog) == []
    done = await admin.send("PUT", f"{RULE}acme", {"days": 1}, If_Match=shown["etag"])
    assert (done.status, (await done.json())["days"]) == (200, 1)
    camera = await admin.get(f"{RULE}{CAMERA}")
    assert (camera["days"], camera["followed_scope"], camera["followed_days"]) == (None, "acme", 1)
    [listed] = (await admin.get("/retention/rules"))["rules"]
    assert (listed["scope"], listed["days"], listed["set_by"]) == ("acme", 1, "Ann")
    again = await admin.send("PUT", f"{RULE}acme", {"days": 1}, If_Match=shown["etag"])
    assert again.status == 412, "the rule is another one since"
    removal = await preview(admin, "acme", None)
    assert removal["deleted"]["chunks"] == 0
    gone = await admin.send("DELETE", f"{RULE}acme", If_Match=removal["etag"])
    assert (gone.status, (await gone.json())["followed_days"]) == (200, None)
    assert await audit(web) == [
        ("acme", "retention:set", "acme"),
        ("acme", "retention:clear", "acme"),
    ]


async def test_another_thing_than_was_shown_is_not_confirmed(web: Web) -> None:
    admin = await client(web, "admin:acme")
    shown = await preview(admin, "acme", 1)

    async def confirm(days: int = 1, scope: str = "acme", **headers: str) -> int:
        headers = headers or {"If_Match": shown["etag"]}
        return (await admin.send("PUT", f"{RULE}{scope}", {"days": days}, **headers)).status

    assert await confirm(days=2) == 412
    assert await confirm(scope=CAMERA) == 412
    assert await confirm(If_Match="*") == 428
    assert (await admin.send("PUT", f"{RULE}acme", {"days": 1})).status == 428
    assert await confirm(If_Match='"x"') == 412
    assert await confirm(If_Match=f'"{NOW}-{"0" * 32}"') == 412
    run = run_id(seed=9)
    await index_fragments(web.catalog, [fragment(run, 0)], T0)  # late, and old enough
    assert await confirm() == 412
    shown = await preview(admin, "acme", 1)
    number, _ = await add_hold(web.catalog, LegalHold(CAMERA, T0), "Bob", "7", 0)
    assert await confirm() == 412
    shown = await preview(admin, "acme", 1)
    assert (shown["deleted"]["chunks"], shown["held"]["chunks"]) == (0, 1)
    assert shown["holds"] == [number]
    web.set_now(NOW + 16 * 60_000)
    assert await confirm() == 412, "too old"
    web.set_now(NOW + 14 * 60_000)
    assert await confirm() == 200
    assert [rule.rule.days for rule in await list_rules(web.catalog)] == [1]


async def test_foreign_and_unknown_scopes_are_404(web: Web) -> None:
    admin = await client(web, "admin:acme")
    for scope in ("globex", "globex/plant/door", "nowhere", "acme/hq/none"):
        answer = await admin.send("POST", PREVIEW, {"scope": scope, "days": 1})
        assert answer.status == 404, scope
    for scope in ("globex", "nowhere"):
        assert (await admin.send("GET", f"{RULE}{scope}")).status == 404
        for method in ("PUT", "DELETE"):
            sent = {"days": 1} if method == "PUT" else None
            answer = await admin.send(method, f"{RULE}{scope}", sent, If_Match="*")
            assert answer.status == 404
    for body in (
        {"scope": "acme", "days": 0}, {"scope": "acme", "days": 36_501}, {"scope": "acme"},
        {"scope": "*", "days": 1}, {"scope": "acme", "days": "1"}, {"days": 1},
        {"scope": "x" * 10_000, "days": 1},
    ):  # fmt: skip
        assert (await admin.send("POST", PREVIEW, body)).status == 400, body
    site = await client(web, "admin:acme/hq")
    assert (await site.send("POST", PREVIEW, {"scope": "acme", "days": 1})).status == 403


async def test_where_the_audit_log_fails_nothing_is_changed(web: Web) -> None:
    """Each kind of change is sent while no entry can be written: all of it is undone."""
    admin = await client(web, "admin:*", "operator:*")
    hold = await admin.send("POST", "/holds", {"scope": "acme", "from_ms": 1, "why": "x"})
    key = await admin.send("POST", "/keys", {"name": "k", "grants": ["viewer:acme"]})
    number, key_number = (await hold.json())["id"], (await key.json())["id"]
    shown = await preview(admin, "acme", 1)
    before = await contents(web)
    await scalar(
        web.catalog, "ALTER FUNCTION vigil_audit.append(text, text, jsonb) RENAME TO append_gone"
    )
    changes = (
        ("POST", "/tenants", {"id": "initech", "name": "x"}),
        ("PATCH", "/tenants/acme", {"name": "x"}),
        ("POST", "/sites", {"id": "acme/new", "name": "x"}),
        ("PATCH", "/sites/acme/hq", {"name": "x"}),
        ("POST", "/cameras", {"id": "acme/new/gate", "name": "x"}),
        ("PATCH", f"/cameras/{CAMERA}", {"disabled": True}),
        ("POST", "/holds", {"scope": "acme", "from_ms": 1, "why": "x"}),
        ("POST", f"/holds/{number}/lift", {"why": "x"}),
        ("POST", "/keys", {"name": "x", "grants": ["viewer:acme"]}),
        ("DELETE", f"/keys/{key_number}", None),
        ("POST", f"/keys/{key_number}/rotate", {"old_expires_ms": NOW + 1_000}),
    )
    for method, path, body in changes:
        answer = await admin.send(method, path, body, If_Match="*", Idempotency_Key=method + path)
        assert answer.status in {500, 503}, (method, path)
    rule = await admin.send("PUT", f"{RULE}acme", {"days": 1}, If_Match=shown["etag"])
    assert rule.status in {500, 503}
    assert await contents(web) == before
    await scalar(
        web.catalog, "ALTER FUNCTION vigil_audit.append_gone(text, text, jsonb) RENAME TO append"
    )
    again = await admin.send("PUT", f"{RULE}acme", {"days": 1}, If_Match=shown["etag"])
    assert again.status == 200


async def contents(web: Web) -> list[str]:
    """Return all rows that the API changes, without when a key was used."""
    found = []
    async with web.catalog.transaction() as connection:
        for table in (
            "tenants", "sites", "cameras", "legal_holds", "retention_rules", "api_key_grants"
        ):  # fmt: skip
            rows = await connection.fetch(f"SELECT r::text FROM {table} AS r ORDER BY 1")
            found += [f"{table} {row[0]}" for row in rows]
        rows = await connection.fetch("SELECT id, revoked_ms, expires_ms FROM api_keys ORDER BY id")
        found += [str(tuple(row)) for row in rows]
    return found
