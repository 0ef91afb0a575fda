"""`make values`: what Terraform knows becomes values of the chart."""

import json
import os
import subprocess
import sys

import boto3
import pytest
import yaml

from tests.infra.helm import FOLDER, GIVEN, render
from tests.infra.moto import REGION, moto_server

pytestmark = pytest.mark.infra

NETWORK = {"s3_networks": ["192.0.2.0/25", "198.51.100.0/24"]}
DATA = {
    "brokers": "b-1.example.com:9096",
    "video_bucket": "vigil-dev-video-1",
    "audit_bucket": "vigil-dev-audit-1",
    "events_url": "https://sqs.example.com/events",
    "dead_letters_url": "https://sqs.example.com/events-dead",
    "video_kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1",
    "queue_kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/2",
}
CLUSTER = {
    "cluster": "vigil-dev",
    "region": REGION,
    "device_role_arn": "arn:aws:iam::123456789012:role/vigil-dev-device",
}


def printed(address: str, environment: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ, "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, str(FOLDER / "addresses.py"), environment],
        capture_output=True, text=True, check=False, env=env, timeout=60,
    )  # fmt: skip


def test_values_of_an_environment_come_from_its_parameters(tmp_path) -> None:
    with moto_server() as address:
        missing = printed(address, "dev")
        assert (
            missing.returncode == 1
            and "Apply the roots network, data and cluster first" in missing.stderr
        )
        ssm = boto3.client("ssm", endpoint_url=address, region_name=REGION,
                           aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
        for root, value in (("network", NETWORK), ("data", DATA), ("cluster", CLUSTER)):
            name = f"/vigil/vigil-dev/{root}"
            ssm.put_parameter(Name=name, Type="String", Value=json.dumps(value))
        found = printed(address, "dev")
    assert found.returncode == 0, found.stderr
    file = tmp_path / "values.yaml"
    file.write_text(found.stdout)
    manifests = render("vigil", *GIVEN, "-f", str(file), values="dev")
    settings = next(m["data"] for m in manifests if m["metadata"]["name"] == "vigil-settings")
    assert settings["VIGIL_KAFKA_BROKERS"] == DATA["brokers"]
    assert settings["VIGIL_DEVICE_ROLE_ARN"] == CLUSTER["device_role_arn"]
    assert yaml.safe_load(found.stdout)["programs"]["audit"]["bucket"] == DATA["audit_bucket"]
    [policy] = [m for m in manifests if m["metadata"]["name"] == "vigil-data"]
    reached = [to["ipBlock"]["cidr"] for rule in policy["spec"]["egress"] for to in rule["to"]
               if "ipBlock" in to]  # fmt: skip
    assert set(NETWORK["s3_networks"]) < set(reached)
    assert printed("http://127.0.0.1:1", "prod").returncode == 2


def test_the_parameters_are_those_that_terraform_writes() -> None:
    for root, names in (("network", NETWORK), ("data", DATA), ("cluster", CLUSTER)):
        text = (FOLDER.parent / f"terraform/roots/{root}/main.tf").read_text()
        for name in names:
            assert f"    {name} " in text, name
