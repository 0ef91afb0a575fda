"""From a blank root to a recording device: one run of the playbook, and one command.

The recorder runs from its image, in podman: Docker CE cannot be had where this runs. Its footage
goes through the VPN, which nothing else leads to.
"""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from domain.identity import parse_fragment_key
from harness.environment import environment
from local.images.engine import cache_folder
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import make_object_store
from tests.footage import numbers_in, write_clip
from tests.lab.camera import camera
from tests.lab.cloud import LabCloud, inside
from tests.lab.device import CAMERA, DEVICE, EDGE_IMAGE, ROUTER, Device, device, engine, other_end
from tests.lab.names import Resolver, resolver
from tests.lab.vpn import INSIDE, Charon

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("podman", "buildah", "mmdebstrap"))),
        reason="needs podman, buildah, mmdebstrap and root",
    ),
]
SITE = "acme/berlin"
FPS, SECONDS = 25, 400
DOMAIN = "endpoints.example.net"
"""Names that only the cloud's resolver knows. unbound itself answers for `test`."""
PUBLIC = "203.0.113.66"
"""What the internet's resolver answers: nothing may go there."""


async def runs_in(store: ObjectStore) -> dict[str, list[str]]:
    """Return the keys of the site's fragments, in order, by run."""
    found: dict[str, list[str]] = {}
    async for info in store.list(f"fragments/{SITE}/"):
        if (fragment := parse_fragment_key(info.key)) is not None:
            found.setdefault(fragment.run, []).append(info.key)
    return {run: sorted(keys) for run, keys in found.items()}


@dataclass
class RecordingSite:
    """The device, and all that it needs outside it."""

    device: Device
    cloud: LabCloud
    gateway: Charon
    cloud_names: Resolver
    site_names: Resolver
    work: Path

    def stored(self) -> dict[str, list[str]]:
        """Return the keys of what the device has put into S3, in order, by run."""

        async def reading() -> dict[str, list[str]]:
            async with make_object_store(Settings()) as store:
                return await runs_in(store)

        with inside(self.device.cloud), environment(self.cloud.env):
            return asyncio.run(reading())

    def fragments(self) -> int:
        """Return how many fragments are in S3."""
        return sum(map(len, self.stored().values()))

    def wait_for_fragments(self, count: int, within_s: float) -> int:
        """Wait until so many are there; return how many are."""
        deadline = time.monotonic() + within_s
        while (found := self.fragments()) < count:
            assert time.monotonic() < deadline, self.device.run(
                "journalctl", "-u", "vigil-edge", "-n", "30", "--no-pager", ok=False
            )
            time.sleep(0.5)
        return found

    def numbers(self) -> list[list[int]]:
        """Return the numbers of the pictures in S3: run by run."""

        async def reading() -> list[list[int]]:
            found: list[list[int]] = []
            async with make_object_store(Settings()) as store:
                for run, keys in sorted((await runs_in(store)).items()):
                    path = self.work / f"{run}.ts"
                    path.write_bytes(b"".join([await store.get(key) for key in keys]))
                    found.append([number for number in numbers_in(path) if number is not None])
            return found

        with inside(self.device.cloud), environment(self.cloud.env):
            return asyncio.run(reading())


def image_archive() -> Path:
    """Return the image of the edge as a file, made once for each image."""
    image = engine().podman("image", "inspect", "--format", "{{.Id}}", EDGE_IMAGE).strip()
    path = cache_folder() / f"edge-{image[:12]}.tar.gz"
    if not path.exists():
        for old in cache_folder().glob("edge-*.tar.gz"):
            old.unlink()
        part = path.with_suffix("").with_suffix(".part")
        engine().podman("save", "--quiet", "--output", str(part), EDGE_IMAGE)
        subprocess.run(["gzip", "-1", "--suffix", ".gz", part], check=True)
        Path(f"{part}.gz").rename(path)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingSite]:
    work = tmp_path_factory.mktemp("recorder")
    if not engine().has(EDGE_IMAGE):
        pytest.fail("make images BASES=debian IMAGES=vigil-edge-cpu makes the image of the edge")
    archive = image_archive()
    clip = write_clip(work / "clip.mp4", SECONDS * FPS, fps=FPS, gop=50, codec="libx264")
    with (
        device(work) as made,
        camera(made.camera, CAMERA, clip, work, loop=False) as url,
        LabCloud(made.cloud, work / "cloud") as cloud,
        other_end(made) as gateway,
        resolver(made.cloud, INSIDE, DOMAIN, INSIDE, work / "cloud-names") as cloud_names,
        resolver(made.technician, ROUTER, "", PUBLIC, work / "site-names") as site_names,
    ):
        made_site = RecordingSite(made, cloud, gateway, cloud_names, site_names, work)
        prepare(made_site, url)
        made.set(app_image_archive=str(archive))
        yield made_site


def prepare(site: RecordingSite, url: str) -> None:
    """Give the site a camera in the catalog, and the playbook the cloud's addresses."""
    cloud = site.cloud
    config = site.work / "site.yaml"
    document = {"cameras": [{"id": "gate", "url": url}], "fragment_s": 2}
    config.write_text(yaml.safe_dump(document))
    cloud.vigil("site", "config", "set", SITE, "--file", str(config))
    endpoint = cloud.endpoint.replace(INSIDE, f"aws.{DOMAIN}")
    queue = cloud.env["VIGIL_SQS_QUEUE_URL"].replace(cloud.env["VIGIL_SQS_ENDPOINT"], endpoint)
    site.device.set(
        app_install=True,
        app_bucket=cloud.env["VIGIL_S3_BUCKET"],
        app_queue_url=queue,
        app_s3_endpoint=endpoint,
        app_sqs_endpoint=endpoint,
        app_ca_file=str(cloud.ca_file),
        vigil_cloud_dns=[INSIDE],
        vigil_cloud_domains=[DOMAIN],
    )


def enrol(site: RecordingSite) -> str:
    """Run the one command of the technician; return what it printed."""
    code = site.cloud.vigil("device", "code", SITE).strip()
    return site.device.run(
        "vigil", "edge", "enrol", "--config", "/etc/vigil/edge.yaml", "--url", site.cloud.url,
        "--code", code,
    )  # fmt: skip


def test_one_run_and_one_command(site: RecordingSite) -> None:
    began = time.monotonic()
    counts = site.device.configure()
    configured_s = time.monotonic() - began
    assert counts["failed"] == 0
    assert "is enrolled" in enrol(site)
    site.wait_for_fragments(3, 120)
    took_s = time.monotonic() - began
    print(f"configured after {configured_s:.0f} s, three fragments in S3 after {took_s:.0f} s")
    assert took_s < 600


def test_a_second_run_changes_nothing_and_the_recording_goes_on(site: RecordingSite) -> None:
    before = site.stored()
    assert site.device.configure()["changed"] == 0, site.device.changed()
    site.wait_for_fragments(sum(map(len, before.values())) + 2, 60)
    assert set(site.stored()) == set(before), "the run goes on"
    assert_whole(site.numbers())


def test_drift_of_the_recorder_is_reported_and_corrected(site: RecordingSite) -> None:
    made = site.device
    made.run("sh", "-c", "echo 'heartbeat_s: 3600' >> /etc/vigil/edge.yaml")
    made.run("systemctl", "disable", "--now", "vigil-edge")
    reported = made.configure("--check", "--diff")
    assert reported["changed"] >= 2
    assert "heartbeat_s" in (made.work / "last.txt").read_text()
    assert made.run("systemctl", "is-active", "vigil-edge", ok=False).strip() == "inactive"
    made.configure()
    assert made.run("systemctl", "is-active", "vigil-edge").strip() == "active"
    assert "heartbeat_s" not in made.run("cat", "/etc/vigil/edge.yaml")
    assert made.configure()["changed"] == 0, made.changed()
    site.wait_for_fragments(site.fragments() + 2, 120)


def test_the_recorder_runs_with_its_limits(site: RecordingSite) -> None:
    found = site.device.run(
        "podman", "inspect", "vigil-edge", "--format",
        "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} "
        "{{.Config.User}} {{.EffectiveCaps}}",
    )  # fmt: skip
    assert found.split() == ["true", str(4 << 30), "1024", "10001:10001", "[]"]


def test_without_the_vpn_it_records_and_catches_up(site: RecordingSite) -> None:
    """Nothing else leads to S3: without the tunnels all waits on the device."""
    made = site.device
    before = set(site.stored())
    assert addresses(made, f"aws.{DOMAIN}") == {INSIDE}
    assert addresses(made, "time.example.org") == {PUBLIC}, "the control: other names"
    made.run("systemctl", "stop", "vigil-vpn-watch.timer", "strongswan")
    try:
        # The answer expired after 5 s.
        waiting_at_least(made, 6)
        assert addresses(made, f"aws.{DOMAIN}") == {INSIDE}
        assert addresses(made, f"other.{DOMAIN}") == set()
    finally:
        made.run("systemctl", "start", "strongswan", "vigil-vpn-watch.timer")
    deadline = time.monotonic() + 120
    while waiting(made) > 1:
        assert time.monotonic() < deadline, made.run("swanctl", "--list-sas", ok=False)
        time.sleep(0.5)
    assert addresses(made, f"other.{DOMAIN}") == {INSIDE}
    assert not {name for name in site.site_names.asked() if name.endswith(DOMAIN)}
    assert set(site.stored()) == before, "the run was not interrupted"
    assert_whole(site.numbers())


def assert_whole(runs: list[list[int]]) -> None:
    """Each run has each of its pictures once, in order."""
    assert runs
    for run in runs:
        assert run == list(range(run[0], run[0] + len(run)))


def addresses(made: Device, name: str) -> set[str]:
    """Return the addresses of a name, as programs on the device get them."""
    return set(made.run("getent", "ahostsv4", name, ok=False).split()) & {INSIDE, PUBLIC}


def waiting(made: Device) -> int:
    """Return how many fragments wait on the device."""
    with inside(made.space):
        unverified = ssl._create_unverified_context()
        url = f"https://{DEVICE}:9500/healthz"
        try:
            with urllib.request.urlopen(url, context=unverified, timeout=5) as answer:
                report = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            report = json.loads(error.read())
    return int(report["spool"]["waiting"])


def waiting_at_least(made: Device, count: int) -> None:
    deadline = time.monotonic() + 120
    while waiting(made) < count:
        assert time.monotonic() < deadline
        time.sleep(0.5)
