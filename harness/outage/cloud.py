"""The cloud behind a line that fails: local services, the product's own workers, the API.

proxies ──► S3, SQS ──► relay ──► Kafka ──► assemble, heal, join, index ──► PostgreSQL ──► web
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from domain.errors import VigilError
from harness.workers import Workers
from local import s3
from local.demo_catalog import ask_catalog
from local.folder import DataFolder
from local.ports import HOST
from local.program import Program, worker
from local.stack import Stack
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import TOPICS

_WORKERS = {"assemble": 1, "heal": 1, "join": 1, "index": 1}
_WEB = "web"
_ANSWERS_WITHIN_S = 180.0


class _OpenStore(s3.S3Proxy):
    """S3 that believes every access key: who may be in is for the proxy before it to say."""

    def prepare(self) -> None:
        """Write the configuration."""
        super().prepare()
        path = self.home / "s3proxy.conf"
        text = re.sub(r"authorization=.*", "authorization=none", path.read_text())
        path.write_text(text)


def open_stack(folder: Path, say: Callable[[str], None]) -> Stack:
    """Return the services, not started, with an S3 that lets every key in."""
    stack = Stack(folder, report=say)
    stack.services[_OpenStore.name] = _OpenStore(stack.folder, stack.ports, say)
    return stack


class OutageCloud:
    """The workers and the API over a stack that runs. An async context manager.

    The stack's settings and SHORT_WINDOWS must be in the environment.
    """

    def __init__(self, stack: Stack, folder: Path, cameras: Sequence[str]) -> None:
        """Make the catalog know the cameras (tenant/site/camera). Blocking, before any loop."""
        self.key = ask_catalog(
            stack.env["VIGIL_DATABASE_URL"],
            {camera: camera for camera in cameras},
            stack.folder.path / "api-key",
        )
        port = stack.ports.take(_WEB)
        self.url = f"http://{HOST}:{port}"
        self.workers = Workers(folder, {}, _WORKERS)
        web = {"VIGIL_WEB_HOST": HOST, "VIGIL_WEB_PORT": str(port)}
        data = DataFolder(folder / _WEB)
        data.open()
        self.workers.programs[_WEB] = Program(_WEB, worker("web.app"), data, self.workers.env | web)

    async def __aenter__(self) -> Self:
        await ensure(TOPICS, settings=Settings())
        await self.workers.__aenter__()
        try:
            await self._answers()
        except BaseException:
            await self.workers.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.workers.__aexit__(kind, error, trace)

    async def _answers(self) -> None:
        deadline_s = time.monotonic() + _ANSWERS_WITHIN_S
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline_s:
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.25)
        raise VigilError(
            f"The API does not answer within {_ANSWERS_WITHIN_S:.0f} s:\n{self.workers.tail(_WEB)}"
        )
