"""What Checkov and tflint find in Terraform and the charts: nothing, or it is argued next to it.

`make lint-infra` installs both; without them these tests are skipped.
"""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.infra.helm import ENVIRONMENTS, FOLDER, GIVEN, TOOLS, of_kind, render

pytestmark = pytest.mark.infra

TERRAFORM = FOLDER.parent / "terraform"
CLUSTER = ("--set", "cluster=vigil-dev", "--set", "nodeRole=vigil-dev-node")
PUBLIC_BUCKET = """
resource "aws_s3_bucket" "open" {
  bucket = "open"
}

resource "aws_s3_bucket_acl" "open" {
  bucket = aws_s3_bucket.open.id
  acl    = "public-read"
}
"""


def checkov(settings: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run Checkov without asking anything of its service."""
    programs = sorted(TOOLS.glob("checkov-*/bin/checkov"))
    if not programs:
        pytest.skip("Checkov is not on this machine: make lint-infra installs it")
    return subprocess.run(
        [programs[-1], "--config-file", settings, "--skip-download", *arguments],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def tflint(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    if not (TOOLS / "tflint").exists():
        pytest.skip("tflint is not on this machine: make lint-infra builds it")
    return subprocess.run(
        [TOOLS / "tflint", f"--chdir={folder}", f"--config={TERRAFORM / '.tflint.hcl'}",
         "--no-color", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_checkov_finds_nothing_in_terraform() -> None:
    done = checkov(TERRAFORM / "checkov.yaml", "-d", TERRAFORM)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed checks: 0" in done.stdout


def test_checkov_finds_a_public_bucket(tmp_path: Path) -> None:
    """So the test above can fail."""
    (tmp_path / "main.tf").write_text(PUBLIC_BUCKET)
    done = checkov(TERRAFORM / "checkov.yaml", "-d", tmp_path)
    assert done.returncode != 0
    assert "CKV_AWS_20" in done.stdout, done.stdout


def test_checkov_finds_nothing_in_the_charts(tmp_path: Path) -> None:
    charts = {each: render("vigil", *GIVEN, values=each) for each in ENVIRONMENTS}
    charts["cluster"] = render("vigil-cluster", *CLUSTER)
    for name, manifests in charts.items():
        for each in manifests:
            # As Helm does; what is cluster-wide does not mind.
            each["metadata"].setdefault("namespace", "vigil")
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(manifests))
    done = checkov(FOLDER / "checkov.yaml", "-d", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed checks: 0" in done.stdout


def test_checkov_finds_a_pod_with_more_rights(tmp_path: Path) -> None:
    """So the test above can fail."""
    relay = of_kind(render("vigil", *GIVEN, values="dev"), "Deployment")[0]
    relay["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    (tmp_path / "relay.yaml").write_text(yaml.safe_dump(relay))
    done = checkov(FOLDER / "checkov.yaml", "-d", tmp_path)
    assert done.returncode != 0
    assert "CKV_K8S_16" in done.stdout, done.stdout


def test_tflint_finds_nothing() -> None:
    done = tflint(TERRAFORM, "--recursive")
    assert done.returncode == 0, done.stdout + done.stderr


def test_tflint_finds_a_variable_that_nothing_reads(tmp_path: Path) -> None:
    """So the test above can fail."""
    (tmp_path / "variables.tf").write_text('variable "unused" {\n  type = string\n}\n')
    done = tflint(tmp_path)
    assert done.returncode != 0
    assert "terraform_unused_declarations" in done.stdout
