"""Export, signed heads in S3, and `vigil audit verify` on them, which needs no database."""

import json
import uuid
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from cli import audit
from domain.audit import AuditOrigin
from domain.times import utc_ms
from local.ports import HOST
from stores.audit_keys import create_key_file, read_key_file, verified_head
from stores.aws_endpoint import AwsEndpoint
from stores.catalog import Catalog
from stores.catalog.audit import record_audit
from stores.catalog.audit_heads import HeadWriter, head_key, signed_heads
from stores.catalog.audit_log import (
    AuditFilter,
    erase_subject,
    export_lines,
    find_entries,
)
from stores.objects import ObjectStore
from streams.storage import make_object_store
from tests.conftest import Services
from tests.integration.catalog_support import T0, fresh_catalog, scalar

ANN = AuditOrigin(actor="user:1", session="s1", name="Ann Lee", address="192.0.2.7")
BOB = AuditOrigin(actor="user:2", name="Bob")


@pytest_asyncio.fixture
async def catalog(services: Services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as opened:
        yield opened


@pytest_asyncio.fixture
async def store(services: Services) -> AsyncIterator[ObjectStore]:
    """Open a bucket of its own."""
    async with make_object_store(services.settings) as opened:
        opened.bucket = f"audit-{uuid.uuid4().hex[:8]}"
        await opened._client.create_bucket(Bucket=opened.bucket)
        yield opened


@pytest_asyncio.fixture
async def locked_store(services: Services) -> AsyncIterator[ObjectStore]:
    """Open a bucket with Object Lock, which the local S3 does not have."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        async with ObjectStore(
            AwsEndpoint("us-east-1", f"http://{host}:{port}"), "locked"
        ) as opened:
            await opened._client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
            yield opened
    finally:
        server.stop()


async def rename(catalog: Catalog, number: int, origin: AuditOrigin = ANN) -> None:
    await record_audit(
        catalog,
        origin.entry(T0 + number, "camera:rename", "acme/hq/gate", after={"name": f"n{number}"}),
    )


def verify(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    parser = ArgumentParser()
    audit.add(parser.add_subparsers())
    args = parser.parse_args(["audit", "verify", *map(str, words)])
    code = args.run(args)
    return code, capsys.readouterr().out


def written(file: Path, lines: list[str]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


async def export(catalog: Catalog, file: Path) -> Path:
    return written(file, [line async for line in export_lines(catalog, "acme")])


async def heads_file(store: ObjectStore, file: Path) -> Path:
    return written(file, [head.decode() async for head in signed_heads(store, "acme")])


async def test_an_export_is_verified_by_signed_heads(
    catalog: Catalog, store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = create_key_file(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert read_key_file(tmp_path / "key.pem").id == signer.id
    (tmp_path / "public.pem").write_bytes(signer.public_pem)
    writer = HeadWriter(catalog, store, signer, 30)
    for part in range(3):
        for number in range(4):
            await rename(catalog, 4 * part + number)
        assert (await writer.sign_due(utc_ms())).signed == 1
    assert (await writer.sign_due(utc_ms())).signed == 0  # nothing is new
    file = await export(catalog, tmp_path / "export")
    heads = await heads_file(store, tmp_path / "heads")
    options = ("--heads", heads, "--public-key", tmp_path / "public.pem")

    assert len(heads.read_text().splitlines()) == 3
    code, out = verify(file, *options, capsys=capsys)
    assert (code, "12 entries of acme, 1 to 12" in out, "entry 12" in out) == (0, True, True)

    code, out = verify(file, capsys=capsys)
    assert (code, "No heads were given" in out) == (0, True)

    lines = file.read_text().splitlines()
    (tmp_path / "cut").write_text("\n".join([*lines[:10], '{"end":{"count":9,"last_seq":9}}']))
    code, out = verify(tmp_path / "cut", *options, capsys=capsys)
    assert (code, "cut-off: Entries 10 to 12 are cut off" in out) == (1, True)

    forged = heads.read_text().splitlines()
    forged[1] = forged[1].replace('"seq":8', '"seq":9')
    (tmp_path / "forged").write_text("\n".join(forged))
    code, out = verify(file, "--heads", tmp_path / "forged", *options[2:], capsys=capsys)
    assert (code, "is not valid" in out) == (1, True)

    other = create_key_file(tmp_path / "other.pem")
    (tmp_path / "other-public.pem").write_bytes(other.public_pem)
    code, out = verify(file, *options[:3], tmp_path / "other-public.pem", capsys=capsys)
    assert (code, f"signed with the key {signer.id}" in out) == (1, True)

    # Rotation: later heads have another key, and both are given.
    await rename(catalog, 12)
    assert (await HeadWriter(catalog, store, other, 30).sign_due(utc_ms())).signed == 1
    file, heads = await export(catalog, file), await heads_file(store, heads)
    code, out = verify(file, *options, "--public-key", tmp_path / "other-public.pem", capsys=capsys)
    assert (code, "13 entries" in out) == (0, True)


async def test_a_head_cannot_be_deleted_or_replaced(
    catalog: Catalog, locked_store: ObjectStore, tmp_path: Path
) -> None:
    store = locked_store
    signer = create_key_file(tmp_path / "key.pem")
    await rename(catalog, 1)
    await HeadWriter(catalog, store, signer, 30).sign_due(utc_ms())
    versions = await store._client.list_object_versions(Bucket=store.bucket)
    assert {each["Key"] for each in versions["Versions"]} == {
        head_key("acme", 1),
        f"audit/keys/{signer.id}.pem",
    }
    for each in versions["Versions"]:
        with pytest.raises(ClientError, match="AccessDenied"):
            await store._client.delete_object(
                Bucket=store.bucket, Key=each["Key"], VersionId=each["VersionId"]
            )


async def test_a_killed_signer_continues_and_a_changed_chain_gets_no_head(
    catalog: Catalog, store: ObjectStore, tmp_path: Path
) -> None:
    signer = create_key_file(tmp_path / "key.pem")
    writer = HeadWriter(catalog, store, signer, 30)
    await rename(catalog, 1)
    await writer.sign_due(T0)
    await scalar(catalog, "DELETE FROM vigil_audit.signed")  # killed before it noted the head
    assert (await writer.sign_due(T0 + 60_000)).signed == 1
    signed = [head async for head in signed_heads(store, "acme")]
    assert len(signed) == 1
    await rename(catalog, 2)
    async with catalog.transaction() as connection:  # as the tables' owner can
        await connection.execute("ALTER TABLE vigil_audit.entries DISABLE TRIGGER ALL")
        await connection.execute(
            "UPDATE vigil_audit.entries SET entry = replace(entry, 'n2', 'n3') WHERE seq = 2"
        )
    stats = await writer.sign_due(T0 + 120_000)
    assert (stats.signed, stats.broken) == (0, ["acme"])


async def test_an_erased_subject_still_verifies(
    catalog: Catalog, store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = create_key_file(tmp_path / "key.pem")
    (tmp_path / "public.pem").write_bytes(signer.public_pem)
    for number in range(3):
        await rename(catalog, number, ANN)
        await rename(catalog, number, BOB)
    await HeadWriter(catalog, store, signer, 30).sign_due(utc_ms())
    before = (await export(catalog, tmp_path / "before")).read_text()
    async with catalog.transaction() as connection:
        assert await erase_subject(connection, "user:1") == 3
        assert await erase_subject(connection, "user:1") == 0
    after = (await export(catalog, tmp_path / "after")).read_text()
    assert before.count("Ann Lee") == 3
    assert "Ann Lee" not in after
    assert "192.0.2.7" not in after
    assert after.count("Bob") == 3
    heads = await heads_file(store, tmp_path / "heads")
    for name in ("before", "after"):
        code, out = verify(
            tmp_path / name,
            "--heads",
            heads,
            "--public-key",
            tmp_path / "public.pem",
            capsys=capsys,
        )
        assert (code, "6 entries" in out) == (0, True)
    shown = [each.shown() for each in await find_entries(catalog, ["acme"], AuditFilter())]
    assert [each["personal"].get("user:1") for each in shown if each["actor"] == "user:1"] == [
        None
    ] * 3


async def test_a_page_has_what_its_reader_may_see(catalog: Catalog) -> None:
    for resource in ("acme/hq/gate", "acme/hq", "acme/lab/door", "globex/hq/gate", "key:3"):
        await record_audit(catalog, ANN.entry(T0, "camera:rename", resource))

    async def seen(*scopes: str, **wanted: str) -> list[str]:
        found = await find_entries(catalog, scopes, AuditFilter(**wanted))  # type: ignore[arg-type]
        return sorted(each.fields["resource"] for each in found)

    assert await seen("acme") == ["acme/hq", "acme/hq/gate", "acme/lab/door"]
    assert await seen("acme/hq") == ["acme/hq", "acme/hq/gate"]
    assert await seen("acme/h") == []
    assert await seen() == []
    assert len(await seen("*")) == 5
    assert await seen("*", resource="acme/hq") == ["acme/hq", "acme/hq/gate"]
    assert await seen("*", chain="*") == ["key:3"]
    assert await seen("*", action="key") == []
    assert await seen("*", actor="user:2") == []
    pages, before = [], None
    while page := await find_entries(
        catalog, ["*"], AuditFilter(), limit=2, **({} if before is None else {"before": before})
    ):
        pages += page
        before = page[-1].position
    assert len({(each.chain, each.seq) for each in pages}) == len(pages) == 5


def test_a_signed_head_is_checked_with_its_own_key(tmp_path: Path) -> None:
    signer = create_key_file(tmp_path / "key.pem")
    signed = json.loads(signer.sign("acme", 1, bytes(32), T0))
    head = verified_head(signed, {signer.id: signer._key.public_key()})
    assert (head.chain, head.seq, head.at_ms, head.key) == ("acme", 1, T0, signer.id)
