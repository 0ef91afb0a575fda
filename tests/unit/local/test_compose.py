"""compose.yaml and its settings name the same things as the program and the local stack."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.s3 import BUCKET
from local.sqs import DEAD_LETTERS, QUEUE
from local.stack import read_env
from streams.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    return read_env(ROOT / "compose" / "vigil.env")


def test_every_setting_is_known(env: dict[str, str]) -> None:
    names = {f"VIGIL_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in env if name.startswith("VIGIL_")} <= names


def test_published_ports_are_those_of_the_settings(
    compose: dict[str, Any], env: dict[str, str]
) -> None:
    for service, setting in {
        "kafka": "VIGIL_KAFKA_BROKERS",
        "postgres": "VIGIL_DATABASE_URL",
        "s3": "VIGIL_S3_ENDPOINT",
        "sqs": "VIGIL_SQS_ENDPOINT",
    }.items():
        (published,) = compose["services"][service]["ports"]
        default = re.search(r":-(\d+)}", published)
        assert default, published
        assert published.startswith("127.0.0.1:")
        assert f"127.0.0.1:{default[1]}" in env[setting]


def test_bucket_and_queues_are_made(compose: dict[str, Any], env: dict[str, str]) -> None:
    assert env["VIGIL_S3_BUCKET"] == BUCKET
    assert compose["services"]["bucket"]["command"][0].endswith(f"local/{BUCKET}")
    queues = (ROOT / "compose" / "elasticmq.conf").read_text()
    for queue, setting in {
        QUEUE: "VIGIL_SQS_QUEUE_URL",
        DEAD_LETTERS: "VIGIL_SQS_DEAD_LETTER_URL",
    }.items():
        assert env[setting].endswith(f"/{queue}")
        assert f"{queue} {{" in queues


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert re.search(r":[\w.-]*\d", service["image"]), service["image"]


EDGE = ROOT / "edge_bridge" / "container" / "compose.yaml"


@pytest.mark.parametrize("file", [ROOT / "compose.yaml", EDGE], ids=["services", "edge"])
def test_it_starts_with_no_variable_set(file: Path) -> None:
    """Each variable has a default, and each named file exists."""
    text = file.read_text()
    named = re.findall(r"\$\{?(\w+)", text)
    assert named and len(named) == len(re.findall(r"\$\{VIGIL_\w+:-[^}]+\}", text)), named
    for service in yaml.safe_load(text)["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (file.parent / source).exists(), volume
        if build := service.get("build"):
            dockerfile = (file.parent / build["context"] / build["dockerfile"]).resolve()
            stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile.read_text(), flags=re.M)
            assert re.sub(r"\$\{\w+:-(.+)\}", r"\1", build["target"]) in stages


def test_what_a_service_waits_for_can_become_healthy(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, wait in service.get("depends_on", {}).items():
            waited = compose["services"][name]
            assert wait["condition"] == "service_healthy" and "healthcheck" in waited
    volumes = [
        one for service in compose["services"].values() for one in service.get("volumes", ())
    ]
    kept = {one.split(":")[0] for one in volumes if not one.startswith((".", "/"))}
    assert kept == set(compose["volumes"])
