"""A site with the devices' address, credentials bound to it, and edges in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from aiohttp.test_utils import TestServer

from domain.device_identity import UnsignedPolicy, check_signature
from domain.events import FragmentArrived
from domain.events.registry import parse
from domain.times import utc_ms
from edge_bridge.clock import EdgeClock
from edge_bridge.config import EdgeConfig, load
from edge_bridge.edge import Edge
from edge_bridge.identity.enrol import enrol
from edge_bridge.parts import build_parts
from edge_bridge.spool.spool import Spool, open_spool
from local.aws import client
from local.aws_gate import AwsGate, SessionTokens
from local.gate import ROLE_ARN
from stores.catalog.devices import load_devices
from stores.catalog.enrolment import create_code
from stores.catalog.tenants import ensure_site
from stores.queue import Queue
from streams.storage import make_queue
from tests.device_address import DeviceAddress, running_devices
from tests.waiting import wait_for

DAY_MS = 86_400_000


@dataclass
class IdentitySite:
    """One site. Its edge has one camera."""

    name: str
    folder: Path
    address: DeviceAddress
    gate: AwsGate
    config: EdgeConfig
    queue: Queue

    @property
    def device(self) -> str:
        return f"{self.name}/edge-1"

    def at(self, now_ms: int | None) -> None:
        """Set the cloud's clock for devices; None: the true time."""
        self.address.services.clock_ms = utc_ms if now_ms is None else lambda: now_ms

    async def enrol(self, root: Path | None = None, *, again: bool = False) -> None:
        """Enrol the edge by a code, as the command does."""
        async with self.address.catalog.transaction() as connection:
            _, code = await create_code(
                connection,
                self.name,
                self.device if again else None,
                lifetime_ms=DAY_MS,
                created_by="test",
                now_ms=self.address.services.clock_ms(),
            )
        root = root or self.config.identity_folder
        await enrol(root, self.device, self.address.url, code, self.address.files.server_ca)

    def spool(self) -> Spool:
        """Open the edge's spool, while the edge does not run."""
        return open_spool(self.config.spool.dir, "edge-1", self.config.spool_limits())

    @asynccontextmanager
    async def edge(self, clock: EdgeClock | None = None) -> AsyncIterator[Edge]:
        """Run the edge."""
        edge = Edge(self.config, lambda config: build_parts(config, clock=clock))
        ready = asyncio.Event()
        running = asyncio.create_task(edge.run(ready.set))
        try:
            await asyncio.wait(
                {asyncio.create_task(ready.wait()), running}, return_when="FIRST_COMPLETED"
            )
            if running.done():
                running.result()
            yield edge
        finally:
            edge.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def idle(self, edge: Edge, within_s: float = 60) -> None:
        """Wait until everything in the spool is in the cloud."""

        async def is_idle() -> bool:
            counts = await edge.parts.spool.call(lambda spool: spool.counts())
            return counts.idle and not counts.undated

        await wait_for(is_idle, within_s=within_s, what=lambda: str(edge.report()))

    async def notices(self, policy: UnsignedPolicy) -> list[tuple[FragmentArrived, int | None]]:
        """Take the messages from the queue, as the relay does: each is refused by its signature.

        Returns the fragments that they announce, and the generation that signed each one.
        None: it is unsigned.
        """
        found = []
        while received := await self.queue.receive(wait_s=0):
            async with self.address.catalog.transaction() as connection:
                devices = await load_devices(connection, self.name)
            for message in received:
                signature = check_signature(
                    message.signature, message.body, self.name, devices, policy
                )
                event = parse(message.body)
                if isinstance(event, FragmentArrived):
                    found.append((event, signature and signature.generation))
            await self.queue.delete([message.receipt for message in received])
        return found


@asynccontextmanager
async def identity_site(
    services: Any,
    folder: Path,
    port: int,
    name: str,
    *,
    camera_url: str = "rtsp://127.0.0.1:9/x",
    **options: Any,
) -> AsyncIterator[IdentitySite]:
    """Run the devices' address and the gate for a site of its own, with a queue of its own.

    `options`: further keys of the edge's configuration.
    """
    settings = services.settings
    async with AsyncExitStack() as stack:
        gate = AwsGate(settings.s3_endpoint, settings.sqs_endpoint, SessionTokens(b"secret"))
        server = await stack.enter_async_context(TestServer(gate.application()))
        endpoint = str(server.make_url("")).rstrip("/")
        made = client("sqs", settings.sqs_endpoint).create_queue(
            QueueName=f"test-{port}-{utc_ms()}"
        )
        path = urlsplit(made["QueueUrl"]).path
        more = {
            "VIGIL_DEVICE_ROLE_ARN": ROLE_ARN,
            "VIGIL_STS_ENDPOINT": endpoint,
            "VIGIL_SQS_QUEUE_URL": f"{settings.sqs_endpoint}{path}",
        }
        address = await stack.enter_async_context(running_devices(services, folder, port, **more))
        async with address.catalog.transaction() as connection:
            await ensure_site(connection, name, utc_ms())
        queue = await stack.enter_async_context(
            make_queue(settings, f"{settings.sqs_endpoint}{path}")
        )
        config = {
            "site": name,
            "edge": "edge-1",
            "cloud": {
                "bucket": settings.s3_bucket,
                "queue_url": f"{endpoint}{path}",
                "region": settings.aws_region,
                "s3_endpoint": endpoint,
                "sqs_endpoint": endpoint,
            },
            "spool": {"dir": "spool", "free_floor_bytes": 0},
            "fragment_s": 2,
            "upload": {"flush_s": 20},
            "cameras": [{"id": "gate", "url": camera_url, "audio": False}],
            **options,
        }
        (folder / "edge.yaml").write_text(yaml.safe_dump(config))
        yield IdentitySite(name, folder, address, gate, load(folder / "edge.yaml"), queue)
