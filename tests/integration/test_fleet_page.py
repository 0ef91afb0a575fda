"""The page of the fleet in Chromium: a rollout that halts, who is behind and why, what to do."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from domain.access import Grant, Role
from local import dashboard
from stores.catalog.fleet import lock_site_updates
from stores.catalog.rollouts import reconcile_rollout
from stores.catalog.users import create_user
from tests.chromium import CHROMIUM, running_chromium
from tests.device_address import DeviceFiles, add_device
from tests.integration.catalog_support import T0
from tests.integration.test_fleet import RINGS, SimulatedDevice, release
from tests.integration.web_support import Web, running_web
from web.passwords import hash_password

PASSWORD = "a long enough one"
NOW = T0 + 60_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture
async def web(services, tmp_path) -> AsyncIterator[Web]:
    await asyncio.to_thread(dashboard.build, print, tmp_path / "build.log")
    ca = DeviceFiles(tmp_path).ca
    async with running_web(services) as running:
        for site, ring in RINGS.items():
            await add_device(running.catalog, f"{site}/edge-1", tmp_path, ca)
            async with running.catalog.transaction() as connection:
                await connection.execute(
                    "INSERT INTO site_updates (site, ring) VALUES ($1, $2)", site, ring
                )
        for login, scope in (("ann", "*"), ("bob", "acme")):
            async with running.catalog.transaction() as connection:
                await create_user(
                    connection, login=login, display_name=login.title(), scope=scope, now_ms=T0,
                    grants=(Grant(Role.ADMIN, scope),), password_hash=hash_password(PASSWORD),
                )  # fmt: skip
        yield running


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Open a page in Chromium; an error in its scripts fails the test."""
    complaints: list[str] = []
    async with running_chromium() as browser:
        opened = await browser.new_page()
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
    assert not complaints


async def open_as(page: Page, web: Web, login: str) -> None:
    await page.goto(str(web.client.make_url("/admin/fleet")))
    await page.get_by_label("Login").fill(login)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def confirm(page: Page, act: str, sure: str) -> None:
    await page.get_by_role("button", name=act, exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Why").fill("case 4711")
    await dialog.get_by_role("button", name=sure, exact=True).click()
    await expect(dialog).to_have_count(0)


async def test_a_rollout_is_started_halts_and_is_stopped(web: Web, page: Page) -> None:
    for number in (1, 2):
        await release(web.catalog, number)
    await open_as(page, web, "ann")
    await expect(page.get_by_text("No rollout yet")).to_be_visible()
    await confirm(page, "Start a rollout", "Start rollout")
    await expect(page.locator(".rollout")).to_contain_text("Version 2.2.0")

    lab, canary = (SimulatedDevice(web.catalog, f"acme/{s}/edge-1") for s in ("lab", "hq"))
    lab.works = False
    await canary.ask(NOW)
    await reconcile_rollout(web.catalog, NOW)
    assert await lab.follow(NOW)
    await reconcile_rollout(web.catalog, NOW + 1_000)
    async with web.catalog.transaction() as connection:
        await lock_site_updates(connection, "acme/hq", "Inventory", by="ann", now_ms=NOW)
    await page.reload()
    panel = page.locator(".rollout")
    await expect(panel).to_contain_text("Halted")
    await expect(panel).to_contain_text("acme/lab/edge-1")
    rows = page.get_by_role("table", name="Devices").get_by_role("row")
    await expect(rows.nth(1)).to_contain_text("acme/lab/edge-1")
    await expect(rows.nth(1)).to_contain_text("records nothing")
    await expect(rows.filter(has_text="acme/hq/edge-1")).to_contain_text("Inventory")
    await expect(rows.filter(has_text="globex/plant/edge-1")).to_contain_text("No update agent")

    await page.get_by_role("button", name="With a fault 1").click()
    await expect(rows).to_have_count(2)
    await page.get_by_role("button", name="Behind 3").click()
    await page.get_by_label("Site or device").fill("globex")
    await expect(rows).to_have_count(2)

    await confirm(page, "Resume", "Resume version 2.2.0")
    await expect(panel).to_contain_text("Running")
    await confirm(page, "Stop", "Stop version 2.2.0")
    await expect(page.get_by_role("button", name="Start a rollout")).to_be_visible()


async def test_who_administers_one_tenant_sees_his_devices_and_changes_nothing(
    web: Web, page: Page
) -> None:
    await open_as(page, web, "bob")
    rows = page.get_by_role("table", name="Devices").get_by_role("row")
    await expect(rows).to_have_count(3)
    await expect(page.get_by_role("button", name="Start a rollout")).to_have_count(0)
