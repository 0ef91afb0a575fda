"""The audit log in PostgreSQL: appended in the act's transaction, chained, and never changed."""

import asyncio
import json

import asyncpg
import pytest

from domain.audit import GENESIS, AuditOrigin, PersonalData, chain_hash
from domain.errors import StoreError
from domain.retention import LegalHold, RetentionRule
from stores.catalog import Catalog, add_camera
from stores.catalog.audit import record_audit, write_audit
from stores.catalog.cameras import retire_camera
from stores.catalog.keys import create_key, revoke_key
from stores.catalog.retention_rules import add_hold, clear_rule, lift_hold, set_rule
from stores.catalog.site_configs import set_config
from tests.conftest import Services
from tests.integration.catalog_support import T0, fresh_catalog, scalar
from tests.waiting import wait_for

ANN = AuditOrigin(
    actor="user:1", session="s1", name="Ann Lee", address="192.0.2.7", reason="case 5"
)


def dsn_of(services: Services) -> str:
    return services.settings.database_url.get_secret_value()


async def rows_of(catalog: Catalog, statement: str) -> list[asyncpg.Record]:
    async with catalog.transaction() as connection:
        found: list[asyncpg.Record] = await connection.fetch(statement)
        return found


async def test_the_database_chains_entries_as_the_domain_does(services: Services) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        odd = 'Tür "1" \n\x01\x7f \u2028 🎥'
        wrote = [
            await record_audit(
                catalog,
                ANN.entry(T0 + n, "camera:rename", "acme/hq/gate", after={"name": odd}),
            )
            for n in range(3)
        ]
        other = await record_audit(catalog, ANN.entry(T0, "key:revoke", "key:3"))
        stored = await rows_of(catalog, "SELECT * FROM vigil_audit.entries ORDER BY chain, seq")
    assert (other.seq, [each.seq for each in wrote]) == (1, [1, 2, 3])
    previous = GENESIS
    for each, row in zip(wrote, [row for row in stored if row["chain"] == "acme"], strict=True):
        previous = chain_hash(previous, each.canonical)
        assert (each.hash, row["hash"], row["entry"]) == (previous, previous, each.canonical)
        assert (row["actor"], row["action"]) == ("user:1", "camera:rename")


async def test_an_entry_has_no_personal_data_in_clear(services: Services) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        about = PersonalData("user:2", {"login": "bob"})
        await record_audit(catalog, ANN.entry(T0, "user:create", "user:2", about=about))
        dump = ""
        for table in ("entries", "personal", "chains"):
            dump += str(await rows_of(catalog, f"SELECT t::text FROM vigil_audit.{table} t"))
        subjects = await rows_of(catalog, "SELECT subject FROM vigil_audit.subject_keys ORDER BY 1")
    assert [row["subject"] for row in subjects] == ["text", "user:1", "user:2"]
    assert not [text for text in ("Ann", "192.0.2.7", "case 5", "bob") if text in dump]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vigil_audit.entries SET entry = '{}'",
        "DELETE FROM vigil_audit.entries",
        "TRUNCATE vigil_audit.entries",
        "TRUNCATE vigil_audit.entries, vigil_audit.chains, vigil_audit.personal CASCADE",
        "UPDATE vigil_audit.chains SET seq = 0",
        "UPDATE vigil_audit.chains SET hash = sha256('x')",
        "DELETE FROM vigil_audit.chains",
        "UPDATE vigil_audit.personal SET sealed = 'x'",
        "UPDATE vigil_audit.subject_keys SET key = sha256('x')",
    ],
)
async def test_the_trigger_refuses_changes_also_of_the_owner(
    services: Services, statement: str
) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        await record_audit(catalog, ANN.entry(T0, "camera:retire", "acme/hq/gate"))
        with pytest.raises(StoreError, match="append-only"):
            await scalar(catalog, statement)


async def test_other_roles_are_given_nothing(services: Services) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        granted = await rows_of(
            catalog,
            "SELECT relname FROM pg_class WHERE relnamespace = 'vigil_audit'::regnamespace "
            "AND EXISTS (SELECT FROM aclexplode(relacl) AS each WHERE each.grantee = 0)",
        )
        functions = await rows_of(
            catalog,
            "SELECT proname FROM pg_proc WHERE pronamespace = 'vigil_audit'::regnamespace "
            "AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) a WHERE a.grantee = 0))",
        )
    assert (granted, functions) == ([], [])


async def test_a_rollback_leaves_no_hole_and_two_at_once_make_one_chain(services: Services) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        entry = ANN.entry(T0, "camera:retire", "acme/hq/gate")
        with pytest.raises(ZeroDivisionError):
            async with catalog.transaction() as connection:
                await write_audit(connection, entry)
                raise ZeroDivisionError
        done = await asyncio.gather(*(record_audit(catalog, entry) for _ in range(12)))
        stored = await rows_of(catalog, "SELECT * FROM vigil_audit.entries ORDER BY seq")
    assert sorted(each.seq for each in done) == list(range(1, 13))
    previous = GENESIS
    for row in stored:
        previous = chain_hash(previous, row["entry"])
        assert row["hash"] == previous


_IS_GONE = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1"


@pytest.mark.parametrize("committed", [False, True], ids=["before commit", "after commit"])
async def test_a_crash_leaves_the_act_and_its_entry_or_neither(
    services: Services, committed: bool
) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        connection = await asyncpg.connect(catalog._dsn)
        open_transaction = connection.transaction()
        await open_transaction.start()
        await connection.execute("INSERT INTO tenants VALUES ('acme', 'a', 1)")
        entry = ANN.entry(T0, "tenant:create", "acme").body({})
        await connection.fetchrow(
            "SELECT * FROM vigil_audit.append('acme', $1, '[]')", json.dumps(entry)
        )
        if committed:
            await open_transaction.commit()
        # The backend of this connection only: PostgreSQL rolls its transaction back.
        pid = connection.get_server_pid()
        await scalar(catalog, "SELECT pg_terminate_backend($1)", pid)
        await wait_for(
            lambda: scalar(catalog, _IS_GONE, pid), within_s=10, what="a backend ends", every_s=0.01
        )
        tenants = await scalar(catalog, "SELECT count(*) FROM tenants")
        entries = await scalar(catalog, "SELECT count(*) FROM vigil_audit.entries")
        connection.terminate()
    assert (tenants, entries) == ((1, 1) if committed else (0, 0))


async def test_where_the_audit_log_fails_the_change_fails(services: Services) -> None:
    async with fresh_catalog(dsn_of(services)) as catalog:
        site, camera = "acme/hq", "acme/hq/gate"
        await add_camera(catalog, camera, "Gate", T0)
        await create_key(catalog, "Ann", T0)
        hold, _ = await add_hold(catalog, LegalHold("acme", 0, None), "Ann", "case 5", T0)
        await set_rule(catalog, RetentionRule("acme", 7), "Ann", T0)
        await scalar(catalog, "DROP FUNCTION vigil_audit.append")
        tables = ("cameras", "api_keys", "legal_holds", "retention_rules", "site_configs")
        before = [await rows_of(catalog, f"SELECT * FROM {table}") for table in tables]
        for change in (
            lambda: add_camera(catalog, camera, "Other", T0),
            lambda: add_camera(catalog, "acme/hq/new", "New", T0),
            lambda: retire_camera(catalog, camera, T0),
            lambda: create_key(catalog, "Bob", T0),
            lambda: revoke_key(catalog, 1, T0),
            lambda: add_hold(catalog, LegalHold(camera, 0, None), "Bob", "case 6", T0),
            lambda: lift_hold(catalog, hold, "Bob", T0),
            lambda: set_rule(catalog, RetentionRule("acme", 1), "Bob", T0),
            lambda: clear_rule(catalog, "acme", T0),
            lambda: set_config(catalog, site, "{}", now_ms=T0, by="Bob", note=""),
        ):
            with pytest.raises(StoreError, match="append"):
                await change()
        after = [await rows_of(catalog, f"SELECT * FROM {table}") for table in tables]
    assert after == before
