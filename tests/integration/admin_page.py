"""A page of the dashboard as its first administrator sees it, in Chromium."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page

from domain.access import Grant, Role
from local import dashboard
from stores.catalog.users import create_user
from tests.chromium import running_chromium
from tests.integration.catalog_support import T0
from tests.integration.web_support import Web
from web.passwords import hash_password

PASSWORD = "a long enough one"


@asynccontextmanager
async def admin_page(web: Web, path: str, folder: Path) -> AsyncIterator[Page]:
    """Build the dashboard, and open the page at `path` as a new administrator of all tenants."""
    await asyncio.to_thread(dashboard.build, print, folder / "build.log")
    async with web.catalog.transaction() as connection:
        await create_user(
            connection, login="ann", display_name="Ann", scope="*", now_ms=T0,
            grants=(Grant(Role.ADMIN, "*"),), password_hash=hash_password(PASSWORD),
        )  # fmt: skip
    async with running_chromium() as browser:
        opened = await browser.new_page()
        await opened.goto(str(web.client.make_url(path)))
        await opened.get_by_label("Login").fill("ann")
        await opened.get_by_label("Password", exact=True).fill(PASSWORD)
        await opened.get_by_role("button", name="Sign in", exact=True).click()
        yield opened
