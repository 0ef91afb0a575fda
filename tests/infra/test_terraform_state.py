"""States in S3: a second writer is refused, and an older version can be restored. Against moto."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import client
from tests.infra.moto import REGION, moto_server
from tests.infra.terraform import ROOTS, Terraform

pytestmark = pytest.mark.infra
KEY = "network.tfstate"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Terraform, Any]]:
    """A small configuration whose state is in a versioned bucket."""
    work = tmp_path_factory.mktemp("state")
    with moto_server() as address:
        s3 = client("s3", address, region=REGION)
        s3.create_bucket(Bucket="states")
        s3.put_bucket_versioning(Bucket="states", VersioningConfiguration={"Status": "Enabled"})
        root = work / "root"
        root.mkdir()
        (root / "main.tf").write_text(
            f"""terraform {{
  backend "s3" {{
    bucket                      = "states"
    key                         = "{KEY}"
    region                      = "us-east-1"
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    endpoints                   = {{ s3 = "{address}" }}
  }}
}}

variable "text" {{
  default = "first"
}}

resource "terraform_data" "one" {{
  input = var.text
}}
"""
        )
        terraform = Terraform(root, work)
        terraform.run("init", "-input=false", "-no-color")
        terraform.run("apply", "-auto-approve", "-input=false", "-no-color")
        yield terraform, s3


def test_a_second_writer_waits_for_the_lock(state: tuple[Terraform, Any]) -> None:
    terraform, s3 = state
    lock = {"ID": "someone-else", "Operation": "apply", "Who": "another@pipeline"}
    s3.put_object(Bucket="states", Key=f"{KEY}.tflock", Body=json.dumps(lock))
    try:
        printed = terraform.run("apply", "-auto-approve", "-no-color", "-var=text=second", ok=False)
        assert "Error acquiring the state lock" in printed
        assert "another@pipeline" in printed
    finally:
        terraform.run("force-unlock", "-force", "someone-else")
    assert "No changes" in terraform.run("plan", "-input=false", "-no-color")


def test_an_older_version_restores_the_state(state: tuple[Terraform, Any]) -> None:
    terraform, s3 = state
    versions = s3.list_object_versions(Bucket="states", Prefix=KEY)["Versions"]
    good = next(v for v in versions if v["IsLatest"] and v["Key"] == KEY)["VersionId"]
    s3.put_object(Bucket="states", Key=KEY, Body=b"{ damaged")
    terraform.run("plan", "-input=false", "-no-color", ok=False)
    s3.copy_object(
        Bucket="states", Key=KEY,
        CopySource={"Bucket": "states", "Key": KEY, "VersionId": good},
    )  # fmt: skip
    assert "No changes" in terraform.run("plan", "-input=false", "-no-color")


def test_no_root_names_a_state_of_its_own() -> None:
    """The Makefile gives each root its key, so that two roots never share a state."""
    for root in ROOTS:
        text = (root / "versions.tf").read_text()
        assert not re.search(r"^\s*(key|bucket)\s*=", text, re.MULTILINE), root.name
        if root.name != "bootstrap":
            assert "use_lockfile = true" in text
