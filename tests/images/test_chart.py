"""The chart's containers: its arguments, settings, mounts, probes and rights start the images."""

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from domain.errors import ConfigError
from harness.chart_release import ChartRelease, remove_all
from harness.environment import environment
from harness.recording_load import RecordingLoad
from local.images.chart import Cluster, Pod
from local.images.container import Container
from local.stack import Stack
from tests.cloud import quick
from tests.images.conftest import Images

pytestmark = [pytest.mark.images, pytest.mark.asyncio(loop_scope="module")]
WITHIN_S = 120
DISK_BYTES = 64 << 20
SEED = 20_261_130
VERSIONS = "/opt/vigil/lib/python3.11/site-packages/stores/catalog/migrations/versions"


class Running:
    """A release whose programs all run."""

    def __init__(self, release: ChartRelease, image: str) -> None:
        self.release = release
        self.image = image
        self.pods: dict[str, Pod] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    images: Images, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """Install the chart: the migration, then all programs."""
    folder = tmp_path_factory.mktemp("chart")
    image = images.name("vigil-cloud")
    stack = Stack(folder / "data", devices=True)
    await asyncio.to_thread(stack.start)
    found = None
    try:
        name = uuid.uuid4().hex[:8]
        release = ChartRelease(images.engine, stack, folder / "release", quick(name))
        found = Running(release, image)
        await asyncio.to_thread(release.migrate, image)
        await release.create_logins()
        for program, workload in release.manifests(image).items():
            if program != "migration":
                found.pods[program] = release.cluster.pod(workload)
                await asyncio.to_thread(found.pods[program].start)
        with environment({**stack.env, **quick(name)}):
            yield found
    finally:
        if found is not None:
            await asyncio.to_thread(remove_all, list(found.pods.values()), print)
        await asyncio.to_thread(stack.stop)


async def test_all_programs_become_ready(running: Running) -> None:
    assert set(running.pods) == {
        "relay", "assembler", "healer", "joiner", "indexer", "web", "link", "reconciler",
        "retention", "audit",
    }  # fmt: skip
    for pod in running.pods.values():
        await asyncio.to_thread(pod.wait_ready, WITHIN_S)
        assert await asyncio.to_thread(pod.probe, "livenessProbe"), pod.output()


async def test_the_containers_are_restricted(running: Running) -> None:
    for pod in running.pods.values():
        form = "{{.HostConfig.ReadonlyRootfs}} {{.EffectiveCaps}} {{.Config.User}}"
        assert await asyncio.to_thread(pod.inspect, form) == "true [] 10001:10001", pod.name
        options = await asyncio.to_thread(pod.inspect, "{{.HostConfig.SecurityOpt}}")
        assert "no-new-privileges" in options, pod.name


async def test_the_migration_can_run_again_while_the_programs_run(running: Running) -> None:
    await asyncio.to_thread(running.release.migrate, running.image)
    for pod in running.pods.values():
        assert await asyncio.to_thread(pod.probe, "readinessProbe"), pod.output()


async def test_a_secret_that_is_missing_starts_nothing(running: Running) -> None:
    whole = running.release.cluster
    secrets = {name: dict(data) for name, data in whole.secrets.items()}
    del secrets["vigil-secrets"]["device-ca-key"]
    lacking = Cluster(
        whole.engine, whole.folder, secrets, whole.environment, whole.free_port, whole.config_maps
    )
    workload = running.release.manifests(running.image)["link"]
    with pytest.raises(ConfigError, match="vigil-secrets has no key device-ca-key"):
        lacking.pod(workload, ordinal=7)


async def test_a_migration_that_cannot_be_read_is_named(
    running: Running, images: Images, tmp_path: Path
) -> None:
    unreadable = tmp_path / "v0001_catalog.py"
    unreadable.write_text("")
    unreadable.chmod(0)
    container = Container(
        images.engine, "vigil-unreadable-migration", running.image, ("vigil", "catalog", "migrate"),
        mounts={f"{VERSIONS}/v0001_catalog.py": unreadable},
        env={"VIGIL_DATABASE_URL": running.release.settings.database_url.get_secret_value()},
    )  # fmt: skip
    ended = await asyncio.to_thread(container.run)
    assert ended.code == 1
    assert "v0001_catalog.py" in ended.output and "Traceback" not in ended.output


def last_step_that_fails(folder: Path) -> Path:
    """Write the newest step of the schema, with an error at its end; return it."""
    last = max(Path("stores/catalog/migrations/versions").glob("v*.sql"))
    broken = folder / last.name
    broken.write_text(last.read_text() + "\nSELECT 1 / 0;\n")
    return broken


async def test_a_migration_that_fails_half_way_changes_nothing(
    running: Running, images: Images, tmp_path: Path
) -> None:
    """Its last step first does its work, then fails; the whole one then goes through."""
    owner = running.release.settings.database_url.get_secret_value()
    server, _, _ = owner.rpartition("/")
    connection = await asyncpg.connect(owner)
    await connection.execute("CREATE DATABASE half_way")
    await connection.close()
    broken = last_step_that_fails(tmp_path)

    def migration(mounts: dict[str, Path]) -> Container:
        return Container(
            images.engine, "vigil-half-way", running.image, ("vigil", "catalog", "migrate"),
            mounts=mounts, env={"VIGIL_DATABASE_URL": f"{server}/half_way"},
        )  # fmt: skip

    failed = await asyncio.to_thread(migration({f"{VERSIONS}/{broken.name}": broken}).run)
    assert failed.code == 1
    assert "failed (DivisionByZeroError: division by zero)" in failed.output
    assert "Nothing was changed: the schema is at version none" in failed.output
    assert len(failed.output.splitlines()) == 1, failed.output
    connection = await asyncpg.connect(f"{server}/half_way")
    assert await connection.fetchval("SELECT to_regclass('tenants')") is None
    await connection.close()
    again = await asyncio.to_thread(migration({}).run)
    assert again.code == 0, again.output


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Let a file system of DISK_BYTES be in a folder; yields it."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until its disk is full; return it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


async def ends_of_a_full_disk(pod: Pod) -> None:
    ended = await asyncio.to_thread(pod.wait_end, WITHIN_S)
    assert ended.code, ended.output
    assert "The disk of the tables is full" in ended.output
    assert "Nothing is lost" in ended.output
    await asyncio.to_thread(pod.remove)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
async def test_a_full_disk_of_the_assembler_loses_nothing(running: Running) -> None:
    """It fills while cameras record; the assembler ends and says why, also at its next start."""
    pod = running.pods["assembler"]
    await asyncio.to_thread(pod.stop)
    await asyncio.to_thread(pod.remove)
    workload = running.release.manifests(running.image)["assembler"]
    disk = running.release.cluster.folder / pod.name / "data"
    shutil.rmtree(disk)
    disk.mkdir()
    settings = running.release.settings
    with small_disk(disk):
        running.pods["assembler"] = pod = running.release.cluster.pod(workload)
        pod.restarts = False  # the test does it
        await asyncio.to_thread(pod.start)
        await asyncio.to_thread(pod.wait_ready, WITHIN_S)
        load = RecordingLoad(settings, "full", 16, SEED, print, pace_s=0.2)
        async with load:
            ballast = await asyncio.to_thread(fill, disk)
            await ends_of_a_full_disk(pod)
            await asyncio.to_thread(pod.start)  # as the kubelet does
            await ends_of_a_full_disk(pod)
            ballast.unlink()  # the disk has grown
            await asyncio.to_thread(pod.start)
            await asyncio.to_thread(pod.wait_ready, WITHIN_S)
            figures = await load.settled(WITHIN_S)
    assert figures["clean"], figures
    assert figures["fragments"] > 100, figures


async def test_all_programs_end_within_their_grace_period(running: Running) -> None:
    for name, pod in running.pods.items():
        ended = await asyncio.to_thread(pod.stop)
        assert ended.code == 0, f"{name}: {ended.code}\n{ended.output}"
