"""Simulated devices for the bench of the link: certificates, rows, and the edge's own client."""

import asyncio
import hashlib
import random
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.backoff import CENTRED_JITTER, Backoff
from domain.commands import CommandKind
from domain.device_identity import key_id
from domain.link_messages import CommandMessage
from domain.times import utc_ms
from edge_bridge.link.client import DeviceLink
from edge_bridge.link.handler import CommandHandler, CommandOutcome
from edge_bridge.upload.link import Link
from stores.catalog.pool import Catalog, sql
from stores.catalog.tenants import ensure_site
from stores.device_ca import DeviceCa

SITE = "bench/site"


class SimulatedIdentity:
    """A device's certificate, and the workers that a load balancer would choose from."""

    def __init__(self, context: ssl.SSLContext, urls: list[str], dice: random.Random) -> None:
        self._context = context
        self._urls = urls
        self._dice = dice

    @property
    def url(self) -> str | None:
        """One of the workers, chosen again for each connection."""
        return self._dice.choice(self._urls)

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context with the certificate."""
        return self._context


@dataclass
class LinkFleet:
    """All simulated devices, in this process."""

    urls: list[str]
    links: list[DeviceLink] = field(default_factory=list)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def connected(self) -> int:
        """How many devices hold an open link."""
        return sum(link.connected for link in self.links)

    def start(self, link: DeviceLink) -> None:
        """Keep a link open."""
        self.links.append(link)
        self.tasks.append(asyncio.create_task(link.run()))

    async def stop(self) -> None:
        """Close all links."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def make_link(
    name: str, context: ssl.SSLContext, urls: list[str], dice: random.Random
) -> DeviceLink:
    """Return the link of a device that answers clock checks at once."""

    async def carry(_: CommandMessage) -> CommandOutcome:
        return CommandOutcome("Done.")

    handler = CommandHandler(lambda: name, {CommandKind.CLOCK_CHECK: carry})
    backoff = Backoff(first_s=0.5, longest_s=10.0, jitter=CENTRED_JITTER)
    identity = SimulatedIdentity(context, urls, dice)
    return DeviceLink(identity, handler, Link("link"), software="bench", backoff=backoff)


async def enrol_fleet(
    catalog: Catalog, count: int, folder: Path, ca: DeviceCa, server_ca: Path
) -> tuple[dict[str, ssl.SSLContext], dict[str, Ed25519PrivateKey]]:
    """Put devices into the catalog as enrolments do; return TLS contexts and keys by their ids."""
    contexts: dict[str, ssl.SSLContext] = {}
    keys: dict[str, Ed25519PrivateKey] = {}
    now_ms = utc_ms()
    async with catalog.transaction() as connection:
        await ensure_site(connection, SITE, now_ms)
        for number in range(count):
            name = f"{SITE}/box-{number}"
            key = Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes_raw()
            issued = ca.issue(public, name, 1, now_ms)
            request = hashlib.sha256(public).hexdigest()[:32]
            await connection.execute(
                sql("put_enrolled_device"),
                *(name, 1, key_id(public), issued.pem, request, now_ms, issued.expires_ms),
            )
            await connection.execute(sql("add_device_key"), key_id(public), name, public, 1, now_ms)
            file = folder / "device.pem"
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            file.write_bytes(issued.pem.encode() + pem)
            context = ssl.create_default_context(cafile=server_ca)
            context.load_cert_chain(file)
            contexts[name], keys[name] = context, key
    return contexts, keys
