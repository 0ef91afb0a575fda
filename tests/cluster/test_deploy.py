"""`make deploy` against a real API server, with real cosign, helm, kubectl and a registry.

Images are empty: pods only pretend to run. What decides, installs and goes back is real.
"""

import asyncio
import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import install
from deploy.push import push
from deploy.release import CHART, Release, ReleasedImage, hash_of
from deploy.signatures import sign, signature_of
from deploy.tools import DeliveryError, program, run
from tests.cluster.conftest import DEPLOYED, REPOSITORIES
from tests.cluster.control_plane import CommandError, ControlPlane
from tests.infra.helm import FOLDER
from tests.infra.release import COMMIT, registry, write_image, write_sbom
from tests.waiting import wait_for

pytestmark = pytest.mark.cluster

ROOT = FOLDER.parent


class People(http.server.BaseHTTPRequestHandler):
    """The address of people, for the smoke check."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


@dataclass
class Delivery:
    """A registry, a key, and releases of images that have nothing in them."""

    plane: ControlPlane
    folder: Path
    repository: str
    url: str

    def make(self, content: str, *, signed: bool = True) -> ReleasedImage:
        """Push an image and write the signed record of its release."""
        shutil.rmtree(self.folder / "images", ignore_errors=True)
        write_image(self.folder / "images/vigil-cloud", content.encode())
        address = self.repository.partition("/")[0]
        [digest] = push(["vigil-cloud"], "v1", address, f"oci:{self.folder}/images/",
                        f"v{content}").values()  # fmt: skip
        image = ReleasedImage(self.repository, digest)
        release = Release("1.0.0", COMMIT, hash_of(CHART), {"cloud": image})
        release.write(self.record)
        if signed:
            sign(release, self.record, str(self.folder / "cosign.key"), self.folder / "sboms")
        else:
            # The record is ours; the image is not.
            config = self.folder / "config.json"
            config.write_text(
                '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}'
            )
            run("cosign", "sign-blob", "--key", str(self.folder / "cosign.key"),
                "--signing-config", str(config), "--yes",
                "--bundle", str(signature_of(self.record)), str(self.record))  # fmt: skip
        return image

    @property
    def record(self) -> Path:
        """The record of the newest release."""
        return self.folder / "release.json"

    def deploy(self, image: ReleasedImage, environment: str = "dev") -> None:
        """Do what `make deploy` does; raises DeliveryError with what it would print."""
        key = str(self.folder / "cosign.pub")
        request = install.Request(environment, image.digest, key, smoke_url=self.url)
        install.install(request, self.record, CHART)

    def history(self) -> list[tuple[str, str]]:
        """Return status and description of each revision."""
        try:
            text = self.plane.helm("history", "vigil", "-n", DEPLOYED, "-o", "json")
        except CommandError:
            return []
        return [(each["status"], each["description"]) for each in json.loads(text)]

    def images(self) -> set[str]:
        """Return the images of pods that are ready."""
        pods = self.plane.items("pods", DEPLOYED, "-l", "app.kubernetes.io/instance=vigil")
        return {
            pod["spec"]["containers"][0]["image"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True"
                    for c in pod["status"].get("conditions", []))
        }  # fmt: skip


@pytest.fixture(scope="module")
def delivery(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    for name in ("cosign", "docker-registry", "skopeo"):
        try:
            program(name)
        except DeliveryError:
            pytest.skip(f"{name} is not on this machine: make test-release installs it")
    folder = tmp_path_factory.mktemp("delivery")
    write_sbom(folder / "sboms/vigil-cloud.cdx.json")
    People.status = 200
    with (
        pytest.MonkeyPatch.context() as patch,
        registry(folder) as address,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), People) as people,
    ):
        thread = threading.Thread(target=people.serve_forever)
        thread.start()
        patch.chdir(ROOT)
        patch.setenv("KUBECONFIG", str(plane.kubeconfig))
        patch.setenv("PATH", f"{plane.programs}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("COSIGN_PASSWORD", "")
        patch.setattr(install, "TIMEOUT", "240s")
        patch.setattr(install, "SMOKE_S", 1)
        run("cosign", "generate-key-pair", "--output-key-prefix", str(folder / "cosign"))
        repository = f"{address}/vigil/cloud"
        _allow(plane, *REPOSITORIES, repository)
        try:
            yield Delivery(plane, folder, repository, f"http://127.0.0.1:{people.server_port}/")
        finally:
            people.shutdown()
            thread.join()
            plane.helm("uninstall", "vigil", "-n", DEPLOYED, "--ignore-not-found")
            _allow(plane, *REPOSITORIES)


def _allow(plane: ControlPlane, *repositories: str) -> None:
    plane.helm("upgrade", "vigil-cluster", str(FOLDER / "vigil-cluster"), "--reuse-values",
               "--set", f"images.repositories={{{','.join(repositories)}}}")  # fmt: skip


@pytest.fixture(scope="module")
def first(delivery: Delivery) -> ReleasedImage:
    """The first release, installed. The API server needs a moment to read the policy."""
    image = delivery.make("first")
    _wait_until(lambda: _is_allowed(delivery.plane, str(image)))
    delivery.deploy(image)
    return image


def _wait_until(condition: Callable[[], bool]) -> None:
    asyncio.run(wait_for(condition, within_s=30, what="the API server has not read the policy"))


def _is_allowed(plane: ControlPlane, image: str) -> bool:
    try:
        plane.apply(_deployment(image), namespace=DEPLOYED, dry_run=True)
    except CommandError:
        return False
    return True


def _deployment(image: str) -> dict[str, object]:
    labels = {"app": "test"}
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "test"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{"name": "test", "image": image, "securityContext": secure}],
                },
            },
        },
    }  # fmt: skip


def test_a_signed_release_is_installed(delivery: Delivery, first: ReleasedImage) -> None:
    assert delivery.images() == {str(first)}
    assert delivery.history() == [("deployed", f"release 1.0.0 {COMMIT}")]


def test_an_unsigned_digest_is_refused_and_nothing_changes(
    delivery: Delivery, first: ReleasedImage
) -> None:
    before = delivery.history()
    image = delivery.make("unsigned", signed=False)
    with pytest.raises(DeliveryError, match=r"The image cloud, .* is not signed by our key"):
        delivery.deploy(image)
    assert delivery.history() == before and delivery.images() == {str(first)}


def test_another_digest_than_the_release_is_refused(
    delivery: Delivery, first: ReleasedImage
) -> None:
    delivery.make("other")
    with pytest.raises(DeliveryError, match=r"is unknown: release 1\.0\.0 has cloud sha256:"):
        delivery.deploy(first)


def test_production_needs_an_approval(delivery: Delivery, first: ReleasedImage) -> None:
    """But what ran here before may come back without one: only the check is asked for that."""
    image = delivery.make("unapproved")
    with pytest.raises(DeliveryError, match="No one approved this release for production"):
        delivery.deploy(image, "production")
    assert first.digest in install.installed_before()
    assert image.digest not in install.installed_before()


def test_programs_that_do_not_become_ready_bring_the_revision_before_back(
    delivery: Delivery, first: ReleasedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = delivery.make("broken")
    delivery.plane.broken.add(str(image))
    monkeypatch.setattr(install, "TIMEOUT", "25s")
    with pytest.raises(DeliveryError, match="The revision before is back"):
        delivery.deploy(image)
    assert delivery.images() == {str(first)}
    assert delivery.history()[-1][0] == "deployed"


def test_a_failed_smoke_check_goes_back(
    delivery: Delivery, first: ReleasedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = delivery.make("smoke")
    monkeypatch.setattr(People, "status", 503)
    with pytest.raises(DeliveryError, match=r"does not answer 200 .* Revision \d+ is back\."):
        delivery.deploy(image)
    assert delivery.images() == {str(first)}
    assert ("superseded", f"release 1.0.0 {COMMIT}") in delivery.history()


def test_a_good_release_follows(delivery: Delivery, first: ReleasedImage) -> None:
    image = delivery.make("second")
    delivery.deploy(image)
    assert delivery.images() == {str(image)}
    delivery.record.unlink()
    with pytest.raises(DeliveryError, match="is missing"):
        delivery.deploy(image)


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.com/vigil/cloud:v1",
        "registry.example.com/vigil/cloud:v1@sha256:" + "a" * 64,
        "registry.example.com/vigil/cloud-evil@sha256:" + "a" * 64,
        "evil.example.com/vigil/cloud@sha256:" + "a" * 64,
        "busybox",
    ],
)
def test_the_server_refuses_images_that_are_not_ours(plane: ControlPlane, image: str) -> None:
    """Where the administrator names repositories: also a person with kubectl is refused."""
    wanted = _deployment(image)
    _wait_until(lambda: not _is_allowed(plane, "busybox"))
    with pytest.raises(CommandError, match="by its digest") as refused:
        plane.apply(wanted, namespace=DEPLOYED, dry_run=True)
    assert f"Refused image {image}: name an image of {REPOSITORIES[0]}" in str(refused.value)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "test"},
           "spec": wanted["spec"]["template"]["spec"]}  # type: ignore[index] # fmt: skip
    with pytest.raises(CommandError, match="by its digest"):
        plane.apply(pod, namespace=DEPLOYED, dry_run=True)
    cron = {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "test"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {
            "spec": {**pod["spec"], "restartPolicy": "Never"}}}}},  # type: ignore[dict-item]
    }  # fmt: skip
    with pytest.raises(CommandError, match="by its digest"):
        plane.apply(cron, namespace=DEPLOYED, dry_run=True)
    plane.apply(wanted, namespace="default", dry_run=True)
