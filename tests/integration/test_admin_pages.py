"""The pages for administrators in Chromium, on the real API: what people do, and may not do."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from domain.access import Grant, Role
from local import dashboard
from stores.catalog.users import create_user
from tests.chromium import CHROMIUM, running_chromium
from tests.integration.catalog_support import T0
from tests.integration.web_support import Web, running_web
from web.passwords import hash_password
from web.totp import totp_code

PASSWORD = "a long enough one"
ADMIN = (Grant(Role.ADMIN, "*"), Grant(Role.AUDITOR, "*"))
NAME = "Weg <b onmouseover=alert(1)>1</b>"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture
async def web(services, tmp_path) -> AsyncIterator[Web]:
    await asyncio.to_thread(dashboard.build, print, tmp_path / "build.log")
    async with running_web(services) as running:
        for login, scope, grants in (
            ("ann", "*", ADMIN),
            ("bob", "acme", (Grant(Role.VIEWER, "acme"),)),
        ):
            async with running.catalog.transaction() as connection:
                await create_user(
                    connection,
                    login=login,
                    display_name=login.title(),
                    scope=scope,
                    now_ms=T0,
                    grants=grants,
                    password_hash=hash_password(PASSWORD),
                )
        yield running


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Open a page in Chromium; an error in its scripts fails the test."""
    complaints: list[str] = []
    async with running_chromium() as browser:
        opened = await browser.new_page()
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("dialog", lambda dialog: complaints.append(dialog.message))
        yield opened
    assert not complaints


async def sign_in(page: Page, login: str, password: str = PASSWORD) -> None:
    await page.get_by_label("Login").fill(login)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def open_page(page: Page, web: Web, path: str) -> None:
    await page.goto(str(web.client.make_url(path)))


async def press(page: Page, name: str) -> None:
    # A dialog comes last in the document.
    await page.get_by_role("button", name=name, exact=True).last.click()


async def fill(page: Page, field: str, text: str) -> None:
    found = page.get_by_role("dialog").get_by_label(field, exact=True)
    await found.fill(text)


async def test_an_administrator_manages_and_an_auditor_reads_it(web: Web, page: Page) -> None:
    await open_page(page, web, "/admin/holds")
    await sign_in(page, "ann", "not the password")
    await expect(page.get_by_role("alert")).to_contain_text("wrong")
    await sign_in(page, "ann")

    await press(page, "Place a hold")
    await fill(page, "Footage of", "acme/hq")
    await fill(page, "Why", "Case 4711")
    await press(page, "Place hold")
    await expect(page.get_by_role("row", name="Case 4711")).to_be_visible()

    await page.get_by_role("link", name="Retention").click()
    await press(page, "Set a rule")
    await fill(page, "Footage of", "acme")
    await fill(page, "Keep for (days of 24 h)", "30")
    await press(page, "Show what it deletes")
    await expect(page.get_by_role("dialog")).to_contain_text("Nothing is deleted now")
    await press(page, "Set rule")
    await expect(page.get_by_role("row", name="acme 30 days")).to_be_visible()

    await page.get_by_role("link", name="API keys").click()
    await press(page, "Create a key")
    await fill(page, "Name", "Grafana")
    await page.get_by_role("dialog").get_by_label("Role").select_option("monitor")
    await fill(page, "On", "*")
    await press(page, "Add")
    await page.get_by_role("dialog").get_by_label("Belongs to").select_option("service")
    await press(page, "Create key")
    key = await page.get_by_role("dialog").locator("code").inner_text()
    await press(page, "I have copied it")
    headers = {"Authorization": f"Bearer {key}"}
    assert (await web.stranger.get("/metrics", headers=headers)).status == 200
    row = page.get_by_role("row", name="Grafana")
    await row.get_by_role("button", name="Revoke").click()
    await press(page, "Revoke key")
    await expect(row).to_have_count(0)

    await page.locator(".admin-nav").get_by_role("link", name="Cameras").click()
    await page.get_by_role("row", name="Gate").get_by_role("button", name="Rename").click()
    await fill(page, "Name", NAME)
    await press(page, "Rename")
    await expect(page.get_by_text(NAME)).to_be_visible()

    await page.get_by_role("link", name="Audit log").click()
    for act in ("hold:place", "retention:set", "key:create", "key:revoke", "camera:update"):
        await expect(page.get_by_role("row").filter(has_text=act).first).to_contain_text("Ann")
    await expect(page.get_by_role("row").filter(has_text="refused").first).to_be_visible()


async def test_a_new_user_signs_in_with_a_second_factor(web: Web, page: Page) -> None:
    await open_page(page, web, "/admin/users")
    await sign_in(page, "ann")
    await press(page, "Create a user")
    await fill(page, "Name", NAME)
    await fill(page, "Login", "cleo")
    await fill(page, "On", "acme/hq")
    await press(page, "Add")
    await press(page, "Create user")
    password = await page.get_by_role("dialog").locator("code").inner_text()
    await press(page, "I have copied it")
    await page.get_by_role("button", name="Sign out").click()

    await sign_in(page, "cleo", password)
    await page.get_by_role("link", name="Your account").click()
    await press(page, "Add a second factor")
    await fill(page, "Password", password)
    await press(page, "Continue")
    secret = await page.get_by_role("dialog").locator("code").inner_text()
    await fill(page, "Code", totp_code(secret, web.services.clock_ms()))
    await press(page, "Turn on")
    kept = page.get_by_role("dialog", name="Recovery codes")
    recovery = await kept.locator("code").inner_text()
    await press(page, "I have kept them")
    await page.get_by_role("button", name="Sign out").click()

    await sign_in(page, "cleo", password)
    await page.get_by_label("Code of your").fill(recovery.split()[0])
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("link", name="Your account")).to_contain_text(NAME)


async def test_who_needs_a_second_factor_is_led_to_it(web: Web, page: Page) -> None:
    await open_page(page, web, "/admin/users")
    await sign_in(page, "ann")
    await press(page, "Second factor…")
    await expect(page.get_by_text("It is required nowhere.")).to_be_visible()
    await fill(page, "Require it on", "*")
    await press(page, "Require")
    # Ann has none herself: the page shows it at the next request.
    await expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    await expect(page.get_by_role("link", name="Users")).to_have_count(0)
    await press(page, "Set up")
    await fill(page, "Password", PASSWORD)
    await press(page, "Continue")
    secret = await page.get_by_role("dialog").locator("code").inner_text()
    await fill(page, "Code", totp_code(secret, web.services.clock_ms()))
    await press(page, "Turn on")
    await press(page, "I have kept them")
    await expect(page.get_by_role("row", name="Bob")).to_be_visible()
    await press(page, "Second factor…")
    await expect(
        page.get_by_role("dialog").get_by_role("row").filter(has_text="*")
    ).to_contain_text("Ann")
    await press(page, "Release")
    await expect(page.get_by_text("It is required nowhere.")).to_be_visible()


async def test_a_person_sees_only_what_his_roles_allow(web: Web, page: Page) -> None:
    await open_page(page, web, "/admin/users")
    await sign_in(page, "bob")
    await expect(page.get_by_role("heading", name="Users: not allowed")).to_be_visible()
    await expect(page.get_by_text("This needs the role admin")).to_contain_text("viewer on acme")
    await expect(page.get_by_role("link", name="Admin", exact=True)).to_have_count(0)
    await expect(page.get_by_role("link", name="Sites", exact=True)).to_be_visible()
