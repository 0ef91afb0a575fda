"""Signatures end to end: cosign, a registry on loopback, a tampered image.

cosign takes minutes to build: `make test-release` does, at night.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.push import push
from deploy.release import Release, ReleasedImage, hash_of
from deploy.signatures import sign, verify
from deploy.tools import DeliveryError, ProgramError, program, run
from tests.infra.release import COMMIT, registry, write_image, write_sbom

pytestmark = pytest.mark.infra


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for name in ("cosign", "docker-registry", "skopeo"):
        try:
            program(name)
        except DeliveryError:
            pytest.skip(f"{name} is not on this machine: make test-release installs it")
    with registry(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a chart, an SBOM of the image and a key."""
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart/values.yaml").write_text("replicas: 2\n")
    write_sbom(tmp_path / "sboms/vigil-cloud.cdx.json")
    run("cosign", "generate-key-pair")
    return tmp_path


def pushed(workplace: Path, address: str, content: bytes = b"one") -> Release:
    """Push an image and write the record of a release of it."""
    write_image(workplace / "images/vigil-cloud", content)
    store = f"oci:{workplace}/images/"
    digests = push(["vigil-cloud"], "v1", address, store, f"v{content.hex()}")
    images = {"cloud": ReleasedImage(f"{address}/vigil/cloud", digests["cloud"])}
    release = Release("1.0.0", COMMIT, hash_of(workplace / "chart"), images)
    release.write(workplace / "release.json")
    return release


def signed(workplace: Path, address: str, content: bytes) -> Release:
    release = pushed(workplace, address, content)
    sign(release, workplace / "release.json", "cosign.key", workplace / "sboms")
    return release


def check(workplace: Path, key: str = "cosign.pub", builder: str = "") -> Release:
    return verify(workplace / "release.json", key, workplace / "chart", builder)


def test_a_signed_release_has_signature_sbom_and_provenance(workplace: Path, address: str) -> None:
    release = signed(workplace, address, b"signed")
    assert check(workplace) == release
    assert check(workplace, builder="local") == release


def test_an_image_that_was_not_signed_is_refused(workplace: Path, address: str) -> None:
    signed(workplace, address, b"first")
    record = workplace / "release.json"
    shutil.rmtree(workplace / "images")
    pushed(workplace, address, b"second")
    run("cosign", "sign-blob", "--key", "cosign.key", "--signing-config", _no_log(workplace),
        "--yes", "--bundle", f"{record}.sig", str(record))  # fmt: skip
    with pytest.raises(DeliveryError, match=r"The image cloud, .* is not signed by our key"):
        check(workplace)


def test_an_image_changed_in_the_registry_is_refused(workplace: Path, address: str) -> None:
    """A record that names the digest of another image: its signature does not fit any more."""
    signed(workplace, address, b"good")
    record = workplace / "release.json"
    shutil.rmtree(workplace / "images")
    evil = write_image(workplace / "images/vigil-cloud", b"evil")
    push(["vigil-cloud"], "v1", address, f"oci:{workplace}/images/", "evil")
    changed = json.loads(record.read_text())
    changed["images"]["cloud"]["digest"] = evil
    record.write_text(json.dumps(changed))
    with pytest.raises(DeliveryError, match=r"release.json is not signed by our key"):
        check(workplace)


def test_a_manifest_changed_on_the_disk_of_the_registry_is_not_pulled(
    workplace: Path, address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """cosign asks for signatures of a digest; who pulls checks that the content has that digest."""
    release = signed(workplace, address, b"disk")
    image = release.images["cloud"]
    inspect = ("inspect", "--tls-verify=false", f"docker://{image}")
    run("skopeo", *inspect)
    digest = image.digest.removeprefix("sha256:")
    found = tmp_path_factory.getbasetemp().glob(f"registry*/registry/**/{digest}/data")
    (blob,) = {path.resolve() for path in found}
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(ProgramError, match="digest"):
        run("skopeo", *inspect)


def test_another_key_is_refused(workplace: Path, address: str) -> None:
    signed(workplace, address, b"keys")
    for name in ("cosign.key", "cosign.pub"):
        (workplace / name).unlink()
    run("cosign", "generate-key-pair")
    with pytest.raises(DeliveryError, match="not signed by our key"):
        check(workplace)


def test_a_changed_chart_is_refused(workplace: Path, address: str) -> None:
    signed(workplace, address, b"chart")
    (workplace / "chart/values.yaml").write_text("replicas: 0\n")
    with pytest.raises(DeliveryError, match=r"is not the chart of release 1\.0\.0"):
        check(workplace)


def test_an_image_of_another_builder_is_refused(workplace: Path, address: str) -> None:
    signed(workplace, address, b"builder")
    with pytest.raises(DeliveryError, match=r"was built by local, not by https://github"):
        check(workplace, builder="https://github.com/example/vigil/")


def test_an_image_of_another_commit_is_refused(workplace: Path, address: str) -> None:
    release = signed(workplace, address, b"commit")
    other = Release(release.version, "d" * 40, release.chart, release.images)
    record = workplace / "release.json"
    other.write(record)
    run("cosign", "sign-blob", "--key", "cosign.key", "--signing-config", _no_log(workplace),
        "--yes", "--bundle", f"{record}.sig", str(record))  # fmt: skip
    with pytest.raises(DeliveryError, match="is from commit c"):
        check(workplace)


def test_an_image_without_an_sbom_is_not_signed(workplace: Path, address: str) -> None:
    release = pushed(workplace, address)
    (workplace / "sboms/vigil-cloud.cdx.json").unlink()
    with pytest.raises(DeliveryError, match=r"vigil-cloud.cdx.json is missing"):
        sign(release, workplace / "release.json", "cosign.key", workplace / "sboms")


def _no_log(workplace: Path) -> str:
    path = workplace / "no-log.json"
    path.write_text('{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}')
    return str(path)
