"""A real, certified OpenID provider (node-oidc-provider) as a process on the loopback."""

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
from yarl import URL

from local.dashboard import install_packages
from local.ports import HOST, find_free
from tests.waiting import wait_for

FOLDER = Path(__file__).parent / "oidc_provider"
CLIENT_SECRET = "a secret: with/odd+characters"


class NodeProvider:
    """Use as an async context manager. Its people are who `allow` names."""

    def __init__(self, folder: Path, web: str, name: str) -> None:
        """`web`: where the views are; `name`: the provider's id there."""
        self._log = folder / "node-oidc.log"
        self.port = find_free()
        self.url = f"http://{HOST}:{self.port}"
        base = f"{web}/api/v1/session/oidc/{name}"
        self._arguments = [str(self.port), f"{base}/callback", f"{base}/logout"]
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> "NodeProvider":
        await asyncio.to_thread(self._install)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _install(self) -> None:
        with (FOLDER / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may do it too
            install_packages(FOLDER, self._log)

    async def start(self) -> None:
        """Start the process; its people and sessions are forgotten."""
        await asyncio.to_thread(self._launch)
        await wait_for(self._answers, within_s=30, what=self._log.read_text)

    def _launch(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).parent / "node", "provider.js", *self._arguments],
                cwd=FOLDER,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _answers(self) -> bool:
        try:
            url = f"{self.url}/.well-known/openid-configuration"
            async with aiohttp.request("GET", url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def stop(self) -> None:
        """End the process: the provider is away."""
        if self._process is not None:
            # `node` here is a script that starts the real one: end both.
            os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def allow(self, **people: list[str]) -> None:
        """Say who may sign in, and the groups of each."""
        await self._post("/control", {"people": people})

    async def log_out(self, person: str) -> None:
        """Send the logout token of all sessions of a person to the web."""
        await self._post(f"/logout/{person}", {})

    async def _post(self, path: str, body: object) -> None:
        async with aiohttp.request("POST", self.url + path, json=body) as answer:
            assert answer.status == 204, await answer.text()


async def sign_in_at(session: aiohttp.ClientSession, url: str, person: str) -> str:
    """Fill in the provider's pages, as a person would; return where it sends the browser to."""
    form = {"prompt": "login", "login": person, "password": "any"}
    for _ in range(10):
        async with session.get(URL(url, encoded=True), allow_redirects=False) as page:
            where = page.headers.get("Location", "")
            text = await page.text()
        if "/callback?" in where:
            return where
        if not where:
            prompt = re.search(r'name="prompt" value="(\w+)"', text)
            assert prompt, text
            form["prompt"] = prompt[1]
            async with session.post(url, data=form, allow_redirects=False) as done:
                where = done.headers["Location"]
        url = str(URL(url).join(URL(where, encoded=True)))
    raise AssertionError(f"the provider asks on and on: {url}")
