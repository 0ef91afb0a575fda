"""The chart's containers: its arguments, settings, mounts, probes and rights start the images."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from domain.errors import ConfigError
from harness.chart_release import ChartRelease, remove_all
from local.images.chart import Cluster, Pod
from local.images.container import Container
from local.stack import Stack
from tests.cloud import quick
from tests.images.conftest import Images

pytestmark = [pytest.mark.images, pytest.mark.asyncio(loop_scope="module")]
WITHIN_S = 120


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
    versions = "/opt/vigil/lib/python3.11/site-packages/stores/catalog/migrations/versions"
    container = Container(
        images.engine, "vigil-unreadable-migration", running.image, ("vigil", "catalog", "migrate"),
        mounts={f"{versions}/v0001_catalog.py": unreadable},
        env={"VIGIL_DATABASE_URL": running.release.settings.database_url.get_secret_value()},
    )  # fmt: skip
    ended = await asyncio.to_thread(container.run)
    assert ended.code == 1
    assert "v0001_catalog.py" in ended.output and "Traceback" not in ended.output


async def test_all_programs_end_within_their_grace_period(running: Running) -> None:
    for name, pod in running.pods.items():
        ended = await asyncio.to_thread(pod.stop)
        assert ended.code == 0, f"{name}: {ended.code}\n{ended.output}"
