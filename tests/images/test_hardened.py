"""Each image, hardened: its user, its rights, what it says about wrong settings, how it ends."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from local.images.container import Container, Hardening
from local.images.image_list import IMAGES, Image
from local.ports import HOST, find_free
from tests.footage import write_clip
from tests.images.conftest import TAG, Images, Make
from tests.unit.vision.models import write_seeing

pytestmark = pytest.mark.images

BUILT = [image.name for image in IMAGES if not image.gpu]
FOR_GPUS = [image for image in IMAGES if image.gpu]
BUILD_TOOLS = ("gcc", "cc", "ld", "cargo", "rustc", "make", "pip", "npm", "node", "git", "curl")
SOON_S = 300


def refusal(container: Container) -> str:
    """Return the one sentence of a program that refuses to start."""
    ended = container.run(within_s=SOON_S)
    lines = [line for line in ended.output.splitlines() if line.strip()]
    assert ended.code == 1, ended.output
    assert "Traceback" not in ended.output
    assert len(lines) == 1, ended.output
    return lines[0]


@pytest.mark.parametrize("name", BUILT)
def test_it_has_no_rights_and_no_build_tools(make_container: Make, name: str) -> None:
    script = (
        "id -u; grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status; "
        "touch /root-is-writable 2>&1; touch /tmp/a && echo scratch; "
        f"for tool in {' '.join(BUILD_TOOLS)}; do command -v $tool; done; "
        "python -c 'import pip' 2>/dev/null && echo pip"
    )
    container = make_container(
        name, "-c", script, network="none", options=["--entrypoint", "/bin/sh"]
    )
    lines = container.run().output.splitlines()
    assert lines[0] == "10001"
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status == {"CapEff": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}
    rest = [line for line in lines[1:] if ":\t" not in line]
    assert len(rest) == 2 and "Read-only file system" in rest[0] and rest[1] == "scratch", rest


@pytest.mark.parametrize("name", BUILT)
def test_it_says_what_it_is(images: Images, name: str) -> None:
    inspected = json.loads(images.engine.buildah("inspect", "--type", "image", images.name(name)))[
        "Docker"
    ]["config"]
    labels = inspected["Labels"]
    for label in ("title", "description", "licenses", "version", "revision"):
        assert labels[f"org.opencontainers.image.{label}"], label
    assert labels["org.opencontainers.image.title"] == name
    assert inspected["User"] == "10001:10001"
    assert inspected["StopSignal"] == "SIGTERM"
    serves = "inference" not in name
    assert (inspected.get("Healthcheck", {}).get("Test", ["NONE"]) != ["NONE"]) == serves


@pytest.mark.parametrize(
    ("command", "env", "sentence"),
    [
        (("vigil", "relay", "run"), {}, "VIGIL_SQS_QUEUE_URL and VIGIL_SQS_DEAD_LETTER_URL must"),
        (("vigil", "relay", "run"), {"VIGIL_PARTITIONS": "many"}, "VIGIL_PARTITIONS: "),
        (
            ("faust", "-A", "agents.assemble", "worker"),
            {"VIGIL_INDEX_DATABASE_URL_FILE": "/run/secrets/vigil/index-database-url"},
            "/run/secrets/vigil/index-database-url",
        ),
        (
            ("faust", "-A", "web.app", "worker"),
            {"VIGIL_SESSION_SECRET_FILE": "/run/secrets/vigil/session-secret"},
            "/run/secrets/vigil/session-secret",
        ),
        (
            ("vigil", "catalog", "migrate"),
            {"VIGIL_DATABASE_URL_FILE": "/run/secrets/vigil/database-url"},
            "/run/secrets/vigil/database-url",
        ),
        (("vigil", "health"), {}, "Nothing answers at 127.0.0.1:9100"),
        (
            ("vigil", "replay", "detections", "--from", "2026-01-01T00:00Z",
             "--to", "2026-01-02T00:00Z", "--camera", "acme/hq/gate",
             "--model", "/nowhere/model.yaml"),
            {},
            "vigil-inference",
        ),
    ],
)  # fmt: skip
def test_the_cloud_says_what_is_wrong(
    make_container: Make, command: tuple[str, ...], env: dict[str, str], sentence: str
) -> None:
    container = make_container("vigil-cloud", *command, env=env, network="none")
    assert sentence in refusal(container)


def test_the_device_says_what_is_wrong(make_container: Make, tmp_path: Path) -> None:
    assert "/etc/vigil/edge.yaml" in refusal(make_container("vigil-edge-cpu", network="none"))
    wrong = tmp_path / "edge.yaml"
    wrong.write_text("site: acme/hq\nedge: edge-1\ncamera: []\n")
    container = make_container(
        "vigil-edge-cpu", network="none", mounts={"/etc/vigil/edge.yaml": wrong}
    )
    assert "`cloud` is missing" in refusal(container)


@pytest.mark.parametrize("image", FOR_GPUS, ids=lambda image: image.name)
def test_an_image_for_gpus_without_a_gpu_says_so(
    images: Images, make_container: Make, tmp_path: Path, image: Image
) -> None:
    """All of CUDA is in the image; only the driver comes from the host."""
    if not images.engine.has(f"localhost/{image.name}:{TAG}"):
        pytest.skip("make images GPU=1 builds it")
    write_seeing(tmp_path / "model.onnx")
    script = (
        "import sys; from pathlib import Path; from vision.providers import open_session; "
        "from domain.errors import ModelError\n"
        "try: open_session(Path('/models/model.onnx'), ['cuda', 'cpu'], fallback=False, threads=1)"
        "\nexcept ModelError as error: print(error)\n"
        "print(open_session(Path('/models/model.onnx'), ['cuda', 'cpu'], fallback=True, threads=1)"
        "[1])"
    )
    container = make_container(
        image.name, "-c", script, network="none", mounts={"/models": tmp_path},
        options=["--entrypoint", f"{image.venv}/bin/python"],
    )  # fmt: skip
    printed = container.run(within_s=SOON_S).output
    assert "CUDAExecutionProvider was asked for, but" in printed
    assert "Install the driver" in printed
    assert printed.splitlines()[-1] == "CPUExecutionProvider"
    libraries = set(re.findall(r"(lib\w+)\.so[.\d]*: cannot open shared object", printed))
    assert libraries == {"libcuda"}, printed


def test_a_device_without_its_cloud_records_and_ends_in_time(
    make_container: Make, tmp_path: Path
) -> None:
    """A camera from a file, no network: healthy by the image's HEALTHCHECK, SIGTERM is obeyed."""
    media = tmp_path / "media"
    media.mkdir()
    write_clip(media / "clip.mp4", 250, fps=25, gop=50, codec="libx264", audio=None)
    config = tmp_path / "edge.yaml"
    port = find_free()
    config.write_text(
        yaml.safe_dump(
            {
                "site": "acme/hq",
                "edge": "edge-1",
                "cloud": {
                    "bucket": "vigil", "queue_url": "http://127.0.0.1:1/queue",
                    "s3_endpoint": "http://127.0.0.1:1", "sqs_endpoint": "http://127.0.0.1:1",
                },
                "spool": {"dir": "/var/lib/vigil/spool", "free_floor_bytes": 0},
                "http": {"host": HOST, "port": port, "password_env": "PAGE_PASSWORD"},
                "cameras": [{"id": "gate", "url": "file:///media/clip.mp4?loop=1"}],
            }
        )
    )  # fmt: skip
    container = make_container(
        "vigil-edge-cpu", network="none", hardening=Hardening(memory="512m", pids=128),
        env={"PAGE_PASSWORD": "not-a-secret-of-anyone", "AWS_ACCESS_KEY_ID": "none",
             "AWS_SECRET_ACCESS_KEY": "none"},
        mounts={"/etc/vigil/edge.yaml": config, "/media": media},
        volumes={"/var/lib/vigil": tmp_path / "device"},
    )  # fmt: skip
    container.start()
    wait_until(container, lambda: container.health() == 0, "healthy")
    spool = tmp_path / "device/spool"
    wait_until(container, lambda: any(spool.rglob("*.frag")), "recording")
    ended = container.stop(within_s=30)
    assert ended.code == 0, ended.output
    assert not list(spool.rglob("*.part")), "the last fragment was not completed"


def wait_until(container: Container, condition: Callable[[], bool], what: str) -> None:
    """Wait until a container that runs is as the condition says."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert container.running, container.output()
        assert time.monotonic() < deadline, f"not {what}:\n{container.output()}"
        time.sleep(0.5)
