"""Which plan is applied, and what drift reports. Only terraform and aws are fakes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# A bucket is a folder. A plan is a file of text.
AWS = """#!/bin/bash
echo "aws $*" >> "$FOLDER/calls"
if [ "$1 $2" = "s3 cp" ]; then
    from=${4/s3:\\/\\//$FOLDER/} to=${5/s3:\\/\\//$FOLDER/}
    mkdir -p "$(dirname "$to")"; cp "$from" "$to"
fi
"""
TERRAFORM = """#!/bin/bash
echo "terraform $*" >> "$FOLDER/calls"
case $2 in
    plan)
        for part in "$@"; do [[ $part != -out=* ]] || echo planned > "${part#-out=}"; done
        exit ${STATUS:-0} ;;
    show) cat "$FOLDER/shown.json" ;;
esac
"""


class Pipeline:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "terraform/environments/dev").mkdir(parents=True)
        (folder / "terraform/roots/network").mkdir(parents=True)
        for script in (ROOT / "terraform").glob("*.sh"):
            shutil.copy(script, folder / "terraform")
        (folder / "checks").mkdir()
        (folder / "bin").mkdir()
        shutil.copy(ROOT / "checks/plan_policy.py", folder / "checks")
        backend = folder / "terraform/environments/dev/backend.hcl"
        backend.write_text('bucket = "states"\nregion = "us-east-1"\n')
        for name, text in (("aws", AWS), ("terraform", TERRAFORM)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.shows("[]")

    def shows(self, changes: str) -> None:
        (self.folder / "shown.json").write_text(f'{{"resource_changes": {changes}}}')

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        environment = os.environ | {
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "FOLDER": str(self.folder),
            "PYTHON3": sys.executable,
        }
        return subprocess.run(
            ["bash", self.folder / f"terraform/{script}.sh", "dev", "network", *arguments],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, part: str) -> list[str]:
        return [line for line in (self.folder / "calls").read_text().splitlines() if part in line]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


HASH = hashlib.sha256(b"planned\n").hexdigest()


def test_a_plan_is_kept_by_its_hash_and_exactly_that_one_is_applied(pipeline, tmp_path):
    output = tmp_path / "output"
    done = pipeline.run("plan", KEEP="yes", GITHUB_OUTPUT=str(output))
    assert done.returncode == 0, done.stderr
    assert output.read_text() == f"hash={HASH}\n"
    assert (tmp_path / f"states/plans/dev/network/{HASH}.tfplan").read_text() == "planned\n"

    done = pipeline.run("apply", HASH)
    assert done.returncode == 0, done.stderr
    assert len(pipeline.calls(" apply ")) == 1


def test_a_plan_that_was_exchanged_in_the_bucket_is_not_applied(pipeline, tmp_path):
    assert pipeline.run("plan", KEEP="yes").returncode == 0
    (tmp_path / f"states/plans/dev/network/{HASH}.tfplan").write_text("another\n")
    done = pipeline.run("apply", HASH)
    assert done.returncode == 1
    assert "is not the one that was approved" in done.stderr
    assert pipeline.calls(" apply ") == []


@pytest.mark.parametrize("plan", ["", "latest", "../other"])
def test_a_plan_without_a_hash_is_not_applied(pipeline, plan):
    assert "name the plan by its hash" in pipeline.run("apply", plan).stderr


def test_a_plan_that_deletes_footage_is_neither_kept_nor_applied(pipeline, tmp_path):
    assert pipeline.run("plan", KEEP="yes").returncode == 0
    deletion = (
        '[{"address": "module.storage.aws_s3_bucket.video", "type": "aws_s3_bucket",'
        ' "change": {"actions": ["delete"], "after": null}}]'
    )
    pipeline.shows(deletion)
    done = pipeline.run("apply", HASH)
    assert done.returncode == 1
    assert "aws_s3_bucket.video would be deleted" in done.stdout
    assert pipeline.calls(" apply ") == []
    shutil.rmtree(tmp_path / "states")
    assert pipeline.run("plan", KEEP="yes").returncode == 1
    assert not (tmp_path / "states").exists()


@pytest.mark.parametrize(("status", "value", "reported"), [("0", "0", 0), ("2", "1", 1)])
def test_drift_is_a_metric(pipeline, status, value, reported):
    assert pipeline.run("drift", STATUS=status).returncode == 0
    assert pipeline.run("drift", "report").returncode == reported
    (call,) = pipeline.calls("put-metric-data")
    assert call.endswith(f"--namespace Vigil/Delivery --metric-name Drift --value {value}")


def test_a_plan_that_failed_reports_nothing(pipeline):
    assert pipeline.run("drift", STATUS="2").returncode == 0
    assert pipeline.run("drift", STATUS="1").returncode == 1
    assert "was not planned" in pipeline.run("drift", "report").stderr
    assert pipeline.calls("put-metric-data") == []
