"""Chromium for tests whose process also runs the views."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

CHROMIUM = shutil.which("chromium")


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Start Chromium; it ends with the context."""
    # Faust sets uvloop's policy. asyncio cannot start a child under it in a loop of its own.
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        playwright = await async_playwright().start()
    finally:
        asyncio.set_event_loop_policy(policy)
    try:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-sync"]
        )
        yield browser
        await browser.close()
    finally:
        await playwright.stop()
