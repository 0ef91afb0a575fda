"""The container and the systemd unit: linted, and they say what the program understands."""

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from local.folder import project_root

FOLDER = project_root() / "edge_bridge" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
VIGIL = Path(sys.executable).parent / "vigil"


def stages() -> dict[str, str]:
    """Each target's own lines."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_dockerfile_passes_hadolint() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [linter, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (project_root() / ".dockerignore").read_text().splitlines()
            if line.startswith("!")}  # fmt: skip
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.M)
        for source in line.split()[:-1]
    }
    assert copied and copied <= kept
    assert [each for each in copied if not (project_root() / each).exists()] == []


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_each_target_runs_without_rights(target: str) -> None:
    assert re.search(r"^USER 10001:10001$", stages()[target], flags=re.M)


@pytest.mark.parametrize("variant", ["edge", "edge-gpu"])
def test_a_variant_has_one_onnx_runtime_and_nothing_of_the_cloud(variant: str) -> None:
    lines = (project_root() / "requirements" / f"{variant}.txt").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", lines, flags=re.M))
    assert names & {"onnxruntime", "onnxruntime-gpu"} == {
        "onnxruntime-gpu" if variant == "edge-gpu" else "onnxruntime"
    }
    assert names & {"faust-streaming", "aiokafka", "asyncpg", "alembic"} == set()


def test_it_runs_read_only_and_bounded() -> None:
    edge = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["edge"]
    assert edge["read_only"] is True and edge["cap_drop"] == ["ALL"]
    assert all(edge[limit] for limit in ("mem_limit", "cpus", "pids_limit"))
    assert edge["init"] is True, "a first process that has no handler yet ignores SIGTERM"


def test_stopped_while_it_starts_it_ends_by_itself(tmp_path: Path) -> None:
    """By a handler, not the signal's default action, which a container's first process lacks."""
    config = tmp_path / "edge.yaml"
    os.mkfifo(config)
    edge = subprocess.Popen([VIGIL, "edge", "run", "--config", config])
    try:
        with config.open("w"):  # once it reads its configuration, and waits for ours
            edge.terminate()
            assert edge.wait(timeout=30) == 0
    finally:
        edge.kill()
        edge.wait()


def test_what_container_and_unit_start_is_understood() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(FOLDER / "vigil-edge.service")
    words = unit["Service"]["ExecStart"].split()[1:]
    entry, arguments = re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", DOCKERFILE, flags=re.M)
    assert words == [*yaml.safe_load(entry), *yaml.safe_load(arguments)][1:]
    health = re.findall(r"^    CMD (\[.*\])$", DOCKERFILE, flags=re.M)
    for line in (words, yaml.safe_load(health[0])[1:]):
        done = subprocess.run([VIGIL, *line], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "/etc/vigil/edge.yaml" in done.stderr, done.stderr  # the arguments were understood


def test_the_package_is_built_without_anything_unlocked() -> None:
    build = (project_root() / "requirements" / "build.txt").read_text()
    names = re.findall(r"^([a-z-]+)==", build, flags=re.M)
    assert names == ["semantic-version", "setuptools", "setuptools-rust"]
    locked_lines = (project_root() / "requirements" / "dev.txt").read_text().splitlines()
    assert set(build.splitlines()) <= set(locked_lines)
    how_to = (project_root() / "docs" / "how-to" / "edge.md").read_text()
    commands = re.findall(r"pip (?:install|wheel) .*", DOCKERFILE + how_to)
    for command in commands:
        locked = "--require-hashes" in command or "--no-index" in command
        assert locked or "--no-build-isolation" in command, command
