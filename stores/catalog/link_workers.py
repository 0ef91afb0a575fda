"""The link workers: processes that hold the sockets of devices, and relay live video.

A worker renews its row each second. Ages are measured by PostgreSQL's clock, so the workers'
clocks do not matter.
"""

from dataclasses import dataclass
from datetime import timedelta

from stores.catalog.pool import Catalog, sql

KEEP_ALIVE_S = 1.0
GONE_S = 3.0
"""A worker whose last keep-alive is older does not count."""
FORGOTTEN_S = 60.0
"""After this time its row, and those of its sockets, are deleted."""


@dataclass(frozen=True, slots=True)
class LinkWorker:
    """One worker that is alive."""

    id: str
    address: str
    """http(s)://host:port, for other workers."""
    draining: bool = False
    """It stops: it relays nothing more, and its devices go elsewhere."""
    sockets: int = 0
    """Devices connected to it."""


async def keep_alive(catalog: Catalog, worker: LinkWorker) -> None:
    """Add or renew a worker."""
    async with catalog.transaction() as connection:
        await connection.execute(
            sql("keep_link_worker_alive"),
            *(worker.id, worker.address, worker.draining, worker.sockets),
        )


async def list_link_workers(catalog: Catalog) -> list[LinkWorker]:
    """Return the workers that are alive, by id."""
    rows = await catalog.rows("list_link_workers", timedelta(seconds=GONE_S))
    return [LinkWorker(**dict(row)) for row in rows]


async def forget_worker(catalog: Catalog, worker: str) -> None:
    """Delete a worker that ends, and the links that it held."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("forget_link_worker"), worker)


async def forget_dead_workers(catalog: Catalog) -> None:
    """Delete the workers that were killed some time ago."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("forget_dead_link_workers"), timedelta(seconds=FORGOTTEN_S))
