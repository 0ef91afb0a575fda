"""docs/how-to/install.md: its SQL is run here, word by word, on a new PostgreSQL."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from domain.times import utc_ms
from local.folder import DataFolder
from local.ports import Ports
from local.postgres import Postgres
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.row_security import ADMIN, INDEX
from stores.catalog.web_catalog import WebCatalog
from tests.infra.helm import FOLDER

pytestmark = [pytest.mark.infra, pytest.mark.asyncio]

PAGE = FOLDER.parent / "docs/how-to/install.md"


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """A server without any of our roles; yields its address, without a user."""
    folder = DataFolder(tmp_path / "data")
    folder.open()
    postgres = Postgres(folder, Ports(folder), lambda *_: None)
    postgres.launch()
    try:
        postgres.wait()
        yield postgres.address
    finally:
        postgres.process.stop()
        folder.close()


def statements() -> tuple[list[str], list[str]]:
    """Return what RDS's user runs, and what vigil_migrate runs after the first migration."""
    found = re.findall(r"^    ((?:CREATE|GRANT) .*;)$", PAGE.read_text(), re.MULTILINE)
    first = [each for each in found if "vigil_migrate" in each]
    return first, [each for each in found if each not in first]


async def test_each_user_of_the_page_can_do_its_work(server: str) -> None:
    first, then = statements()
    assert len(first) == 3 and len(then) == 4
    owner = await asyncpg.connect(f"postgresql://vigil@{server}/vigil")
    # As RDS's own user: it makes roles, but has not all rights.
    await owner.execute("CREATE ROLE rds_owner LOGIN CREATEROLE CREATEDB")
    await owner.execute("ALTER DATABASE vigil OWNER TO rds_owner")
    await owner.execute("ALTER SCHEMA public OWNER TO rds_owner")
    await owner.close()
    rds = await asyncpg.connect(f"postgresql://rds_owner@{server}/vigil")
    for each in first:
        await rds.execute(each)
    await rds.close()

    await migrate(f"postgresql://vigil_migrate@{server}/vigil")
    connection = await asyncpg.connect(f"postgresql://vigil_migrate@{server}/vigil")
    for each in then:
        await connection.execute(each)
    await connection.close()
    # An upgrade: the migration runs again.
    await migrate(f"postgresql://vigil_migrate@{server}/vigil")

    async with Catalog(f"postgresql://vigil_command@{server}/vigil", role=ADMIN) as catalog:
        assert await add_camera(catalog, "acme/berlin/gate", "Gate", utc_ms())
    async with (
        Catalog(f"postgresql://vigil_worker@{server}/vigil", role=INDEX) as catalog,
        catalog.transaction() as transaction,
    ):
        assert await transaction.fetchval("SELECT count(*) FROM cameras") == 1
    async with WebCatalog(f"postgresql://vigil_page@{server}/vigil", required=True) as web:
        assert web is not None
