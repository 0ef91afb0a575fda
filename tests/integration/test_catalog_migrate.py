"""The schema: from nothing, twice, by two at once, and undone whole when it fails."""

import asyncio
import errno
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from domain.errors import StoreError
from stores.catalog import Catalog, alembic_runner, migrate, schema_status
from tests.integration.catalog_support import fresh_catalog, fresh_database, scalar

ROOT = Path(__file__).parents[2]


async def vigil(dsn: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", *arguments),
        cwd=ROOT,
        env={**os.environ, "VIGIL_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_from_nothing_and_again(services) -> None:
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        assert (await schema_status(dsn)).current is None
        code, out, _ = await vigil(dsn, "catalog", "status")
        assert code == 1
        assert "run `vigil catalog migrate`" in out
        first = await migrate(dsn)
        assert first.up_to_date
        assert await migrate(dsn) == first
        assert (await vigil(dsn, "catalog", "status"))[0] == 0


async def test_two_at_once(services) -> None:
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        done = await asyncio.gather(*(vigil(dsn, "catalog", "migrate") for _ in range(2)))
        assert [(code, err) for code, _, err in done] == [(0, ""), (0, "")]
        assert (await schema_status(dsn)).up_to_date


async def test_a_step_that_fails_is_undone_whole(services) -> None:
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE detections ()")
        with pytest.raises(StoreError, match=r"already exists.*Nothing was changed"):
            await migrate(dsn)
        assert await connection.fetchval("SELECT to_regclass('tenants')") is None
        assert (await schema_status(dsn)).current is None
        await connection.execute("DROP TABLE detections")
        await connection.close()
        assert (await migrate(dsn)).up_to_date


async def test_a_newer_schema_stays_as_it_is(services) -> None:
    """A return to the version before runs that version's migration."""
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for verb in ("migrate", "status"):
            code, out, err = await vigil(dsn, "catalog", verb)
            assert (code, err) == (0, "")
            assert "at version 9999, newer than the" in out
        assert (await schema_status(dsn)).current == "9999"
        await connection.execute("UPDATE alembic_version SET version_num = 'unknown'")
        await connection.close()
        with pytest.raises(StoreError, match="newer program"):
            await migrate(dsn)


async def test_every_column_says_what_it_is(services) -> None:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as catalog:
        async with catalog.transaction() as connection:
            silent = await connection.fetch(
                "SELECT attrelid::regclass::text AS relation, attname FROM pg_attribute "
                "JOIN pg_class ON pg_class.oid = attrelid "
                "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
                "AND relname <> 'alembic_version' AND attnum > 0 AND NOT attisdropped "
                "AND col_description(attrelid, attnum) IS NULL"
            )
        assert [tuple(row) for row in silent] == []


async def test_an_unreachable_database_is_one_sentence() -> None:
    dsn = "postgresql://vigil@127.0.0.1:9/vigil"
    for arguments in (("catalog", "migrate"), ("catalog", "status"), ("camera", "list")):
        code, _, err = await vigil(dsn, *arguments)
        assert code == 1
        assert "VIGIL_DATABASE_URL" in err
        assert "Traceback" not in err
    with pytest.raises(StoreError):
        async with Catalog(dsn):
            pass


async def test_keys_and_cameras_by_command(services) -> None:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as catalog:
        dsn = catalog._dsn
        code, key, _ = await vigil(dsn, "key", "create", "--name", "Ann")
        assert code == 0
        assert len(key.strip()) > 40
        hashes = await scalar(
            catalog, "SELECT string_agg(encode(hash, 'escape'), '') FROM api_keys"
        )
        assert key.strip() not in str(hashes)
        listed = (await vigil(dsn, "key", "list"))[1]
        assert "Ann" in listed
        assert "valid" in listed
        assert key.strip() not in listed
        assert (await vigil(dsn, "key", "revoke", "1"))[0] == 0
        assert "revoked" in (await vigil(dsn, "key", "list"))[1]
        code, _, err = await vigil(dsn, "key", "revoke", "7")
        assert (code, err) == (1, "vigil: There is no key 7; `vigil key list` shows them.\n")
        code, text, _ = await vigil(dsn, "camera", "add", "acme/hq/gate", "--name", "Gate")
        assert code == 0 and "acme/hq is new and refuses events that no device signed" in text
        code, text, _ = await vigil(dsn, "camera", "add", "acme/hq/gate", "--name", "Gate")
        assert code == 0 and "is new" not in text
        assert (await vigil(dsn, "site", "unsigned", "acme/hq", "warn"))[0] == 0
        assert " warn " in (await vigil(dsn, "site", "list"))[1]
        code, _, err = await vigil(dsn, "site", "unsigned", "acme/no", "warn")
        assert (code, "no site acme/no" in err) == (1, True)
        code, _, err = await vigil(dsn, "camera", "add", "Acme/hq")
        assert code == 1
        assert "is not a camera id" in err
        assert "acme/hq/gate" in (await vigil(dsn, "camera", "list"))[1]


async def test_a_migration_that_cannot_be_read_is_named(
    services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "v0001_catalog.py")

    monkeypatch.setattr(alembic_runner.command, "upgrade", unreadable)
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        with pytest.raises(StoreError, match=r"v0001_catalog.py cannot be read: Permission denied"):
            await migrate(dsn)
        assert (await schema_status(dsn)).current is None
