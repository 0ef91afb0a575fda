"""What the installation costs: over the API as by `vigil cost`, and on its page in Chromium."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from cli.main import main
from domain.access import Grant, Role
from domain.retention import DAY_MS, RetentionRule
from stores.catalog import add_camera, index_chunks, index_fragments
from stores.catalog.keys import create_key
from stores.catalog.retention_rules import set_rule
from tests.chromium import CHROMIUM
from tests.integration.admin_page import admin_page
from tests.integration.catalog_support import CAMERA, T0, chunk, fragment, run_id
from tests.integration.web_support import Web, running_web

PATH = "/api/v1/cost"
TODAY = T0 - T0 % DAY_MS
HOURS = 12
SAME_NAMES = (
    "usd", "cameras", "fixed_usd", "variable_usd", "per_site_usd", "per_camera_usd", "added_share",
    "kinesis_video_usd", "levers", "prices_written",
)  # fmt: skip


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services, VIGIL_AWS_REGION="eu-west-1") as running:
        yield running


async def fill(web: Web) -> None:
    """Give the gate half a day of footage of 2 Mbit/s, a rule, and the mill two new cameras."""
    run = run_id(TODAY - 2 * DAY_MS)
    yesterday = TODAY - DAY_MS
    fragments = [
        fragment(run, seq, start_ms=at, duration_ms=8_000, size_bytes=2_000_000)
        for seq, at in enumerate(
            [TODAY - DAY_MS - 3_600_000, *range(yesterday, yesterday + HOURS * 3_600_000, 8_000)]
        )
    ]
    await index_fragments(web.catalog, fragments[:1], T0)
    hours: dict[int, list[Any]] = {}
    for each in fragments:
        hours.setdefault(each.start_ms // 3_600_000, []).append(each)
    await index_chunks(
        web.catalog, [chunk(each, window_ms=3_600_000) for each in hours.values()], T0
    )
    for name in ("door", "yard"):
        await add_camera(web.catalog, f"acme/mill/{name}", name, T0)
    await set_rule(web.catalog, RetentionRule("acme", 14), "ann", T0)


async def test_the_bill_is_that_of_vigil_cost(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(web)
    cost = await (await web.client.get(PATH)).json()
    own = cost["own"]
    assert (own["sites"], cost["cameras"], own["cameras_per_site"]) == (2, 3, 1.5)
    assert (own["mbit_s"], own["uploaded_share"], own["fragment_s"]) == (2, 0.5, 8)
    assert (own["retention_days"], own["region"]) == (14, "eu-west-1")
    sources = {each["name"]: each["source"] for each in cost["sources"]}
    assert (sources["mbit_s"], sources["retention_days"]) == ("measured", "setting")
    assert (sources["uplink"], sources["region"]) == ("assumed", "setting")
    assert "1 of 3 cameras" in cost["notes"][0]
    assert cost["own_usd"] == cost["usd"]

    given = {"sites": 12, "cameras_per_site": 8, "mbit_s": 2.5, "retention_days": 14,
             "uploaded_share": 1, "fragment_s": 4, "region": "us-east-1"}  # fmt: skip
    asked = await (await web.client.get(PATH, params=given)).json()
    with pytest.raises(SystemExit):
        await asyncio.to_thread(
            main,
            [
                "cost",
                "--json",
                "--sites",
                "12",
                "--cameras",
                "8",
                "--mbit-s",
                "2.5",
                "--days",
                "14",
            ],
        )
    printed = json.loads(capsys.readouterr().out)
    assert {name: asked[name] for name in SAME_NAMES} == {
        name: printed[name] for name in SAME_NAMES
    }
    assert {each["service"]: each["usd"] for each in asked["services"]} == printed["by_service_usd"]
    by_purpose = {each["purpose"]: each["usd"] for each in asked["purposes"]}
    assert by_purpose == printed["by_purpose_usd"]
    assert [{**each} for each in asked["lines"]] == printed["lines"]
    for each in asked["services"]:
        parts = each["fixed_usd"] + each["sites_usd"] + each["cameras_usd"]
        assert parts == pytest.approx(each["usd"], abs=0.02)
    assert {each["source"] for each in asked["sources"] if each["name"] in given} == {"given"}
    assert asked["own"] == own, "nothing is saved"
    assert asked["own_usd"] == cost["usd"]


async def test_an_empty_installation_is_assumed_whole(web: Web) -> None:
    async with web.catalog.transaction() as connection:
        await connection.execute("UPDATE cameras SET disabled_ms = 0 WHERE id = $1", CAMERA)
    cost = await (await web.client.get(PATH)).json()
    assert cost["notes"] == ["No camera is in use yet, so all of it is assumed."]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sites=0", "sites"),
        ("sites=1e3", "sites"),
        ("mbit_s=abc", "mbit_s: 'abc' is not a number from 0.01 to 200"),
        ("mbit_s=nan", "mbit_s"),
        ("cameras_per_site=1e99", "cameras_per_site"),
        ("uploaded_share=1.5", "uploaded_share"),
        ("region=mars-1", "region"),
    ],
)
async def test_what_no_installation_is_is_refused(web: Web, query: str, text: str) -> None:
    answer = await web.client.get(f"{PATH}?{query}")
    assert answer.status == 400
    assert text in (await answer.json())["detail"]


async def test_only_who_operates_the_whole_installation_sees_it(web: Web) -> None:
    for grant, expected in (
        (Grant(Role.MONITOR, "*"), 200),
        (Grant(Role.ADMIN, "acme"), 403),
        (Grant(Role.VIEWER, "*"), 403),
    ):
        key = await create_key(web.catalog, "test", T0, grants=[grant])
        headers = {"Authorization": f"Bearer {key}"}
        assert (await web.stranger.get(PATH, headers=headers)).status == expected, grant


@pytest.fixture
async def page(web: Web, tmp_path) -> AsyncIterator[Page]:
    await fill(web)
    async with admin_page(web, "/admin/cost", tmp_path) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_change_is_tried_and_taken_back(page: Page) -> None:
    total = page.locator(".cost-sum")
    await expect(total).to_contain_text("3 cameras at 2 sites")
    await expect(page.get_by_label("Days of retention")).to_have_value("14")
    await page.get_by_role("button", name="10 more sites").click()
    await expect(total).to_contain_text("18 cameras at 12 sites")
    await expect(total).to_contain_text("more than the installation as it is")
    await page.get_by_label("Mbit/s of a camera").fill("900")
    await expect(page.get_by_role("alert")).to_contain_text("not a number from 0.01 to 200")
    await page.get_by_role("button", name="As it is").click()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(total).to_contain_text("3 cameras at 2 sites")
    await expect(page.get_by_role("table", name="Cost by service")).to_contain_text("VPN")
