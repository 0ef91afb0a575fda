"""`vigil fsck` and `vigil reconcile` as commands: words, status, and how they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.program import vigil
from stores.catalog import Catalog, add_camera, migrate
from tests.conftest import Services
from tests.integration.catalog_support import audited, fresh_database
from tests.integration.consistency_support import Place, place
from tests.waiting import wait_for


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def ran(at: Place, *arguments: str) -> tuple[int, str, str]:
    env = os.environ | {
        "VIGIL_DATABASE_URL": at.catalog._dsn,
        "VIGIL_WINDOW_MS": "10000",
        "VIGIL_GRACE_MS": "0",
        "VIGIL_IDLE_MS": "1000",
        "VIGIL_LATE_MS": "0",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *vigil(*arguments)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


async def test_findings_are_reported_in_words_and_by_the_status(at: Place) -> None:
    chunks = await at.film()
    arguments = ("fsck", "--camera", at.camera, "--margin", "0s")
    code, output, _ = await ran(at, *arguments)
    assert (code, output.splitlines()[-1]) == (0, "No problems found.")
    await at.store.delete([chunks[1].object_key])
    code, output, _ = await ran(at, *arguments)
    first, *_, last = output.splitlines()
    assert code == 1
    assert first.startswith(f"manifest-without-object: {at.camera} 2026-09-21T14:13:30.000Z run ")
    assert last == "Found 1 problem; --repair repairs what can be repaired."
    assert await audited(at.catalog, "fsck:repair") == [], "a check changes nothing"
    await ran(at, *arguments, "--repair")
    tenant = at.camera.partition("/")[0]
    begun, ended = await audited(at.catalog, "fsck:repair")
    assert begun == (tenant, {"state": "begun", "cameras": [at.camera], "from_ms": 0})
    assert (ended[0], ended[1]["state"], ended[1]["wrong"]) == (tenant, "ended", 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fsck", "--camera", "no/such/camera"), "is not registered"),
        (("fsck", "--camera", "Nonsense"), "is not a camera id"),
        (("fsck", "--from", "2026-11-22T10:00:00"), "has no zone"),
        (("fsck", "--from", "20", "--to", "10"), "--from must be before --to"),
        (("reconcile", "--every", "5s"), "at least 1m"),
        (("reconcile", "--most", "0"), "at least 1"),
    ],
)
async def test_errors_are_reported_in_one_sentence(
    at: Place, arguments: tuple[str, ...], says: str
) -> None:
    code, out, error = await ran(at, *arguments)
    assert (code, out) == (1, "")
    assert error.startswith("vigil: ") and says in error and error.count("\n") == 1


async def test_it_reconciles_again_and_again_until_it_is_stopped(services: Services) -> None:
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        await migrate(dsn)
        async with Catalog(dsn) as catalog:
            await add_camera(catalog, "acme/nowhere/gate", "gate", 0)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *vigil("reconcile", "--every", "1m"),
            env=os.environ | {"VIGIL_DATABASE_URL": dsn},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        line = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert (line["cameras"], line["fragments"]) == (1, 0)
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        await wait_for(lambda: process.returncode is not None, within_s=30, what="it ended")
        assert process.returncode == 0
