"""GitHub's workflows: their form, their security, and that each step runs on any machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.helm import TOOLS

pytestmark = pytest.mark.infra

FOLDER = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").iterdir())


def workflow(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true
    read = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in read.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job.get("steps", [])]


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--min-severity", "low", FOLDER],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing() -> None:
    binary = shutil.which("actionlint", path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    if binary is None:
        pytest.skip("actionlint is not on this machine: make infra builds it")
    done = subprocess.run(
        [binary, "-no-color", *WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_their_version(path: Path) -> None:
    for line in re.findall(r"uses: +(.+)", path.read_text()):
        if not line.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_are_none_but_what_a_job_names(path: Path) -> None:
    read = workflow(path)
    assert read["permissions"] == {}
    assert "pull_request_target" not in read["on"]
    for name, job in read["jobs"].items():
        assert set(job["permissions"]) <= {"contents", "id-token"}, name
        assert job["permissions"]["contents"] == "read"
        if "id-token" in job["permissions"]:
            assert job["environment"], f"{name}: only an environment has an exact subject"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_step_is_one_make_target(path: Path) -> None:
    targets: list[str] = []
    for step in steps(path):
        if "run" in step:
            found = re.fullmatch(r'make ("\$TARGET"|[a-z-]+)( [A-Z]+=\w+)*', step["run"])
            assert found, step
            targets.append(found[1])
    if '"$TARGET"' in targets:
        targets.remove('"$TARGET"')
        targets += workflow(path)["jobs"]["test"]["strategy"]["matrix"]["target"]
    makefile = (FOLDER.parent / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"there is no make {target}"


def test_the_alarm_of_drift_expects_a_report_of_each_state() -> None:
    matrix = workflow(FOLDER / "workflows/drift.yaml")["jobs"]["drift"]["strategy"]["matrix"]
    states = len(matrix["environment"]) * len(matrix["root"]) + len(matrix["include"])
    variables = (FOLDER.parent / "terraform/modules/cicd/variables.tf").read_text()
    assert re.search(rf'"state_count" {{[^}}]*default += {states}\n', variables)


def test_alarms_that_roll_a_release_back_exist() -> None:
    """An alarm that no module makes would never be raised."""
    made = set()
    for path in (FOLDER.parent / "terraform/modules").glob("*/*.tf"):
        made |= set(re.findall(r'alarm_name += "\$\{var\.name\}-([a-z-]+)"', path.read_text()))
    tfvars = (FOLDER.parent / "terraform/environments/delivery/delivery.tfvars").read_text()
    targets = re.findall(r'environment += "(\w+)".*?alarm_names += \[(.*?)\]', tfvars, re.DOTALL)
    assert [environment for environment, _ in targets] == ["dev", "staging", "production"]
    for environment, names in targets:
        for name in re.findall(r'"(.+?)"', names):
            assert name.removeprefix(f"vigil-{environment}-") in made, name
