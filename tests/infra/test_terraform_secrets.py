"""Passwords of Kafka's users (module msk-users): made by Terraform, and in no state of it."""

import json

import pytest

from local.aws import client
from tests.infra.moto import REGION, moto_server, provider
from tests.infra.terraform import Terraform, copied

pytestmark = pytest.mark.infra

CONFIGURATION = """
module "users" {
  source      = "../modules/msk-users"
  name        = "vigil-dev"
  cluster_arn = "arn:aws:kafka:us-east-1:123456789012:cluster/vigil-dev/1"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  users       = ["relay", "worker"]
}
"""


def test_each_user_has_a_password_that_no_state_contains() -> None:
    with moto_server() as address, copied(["modules"]) as work:
        root = work / "terraform/root"
        root.mkdir()
        (root / "main.tf").write_text(CONFIGURATION + provider(address))
        terraform = Terraform(root, work)
        terraform.run("init", "-input=false", "-no-color")
        terraform.run(
            "apply", "-auto-approve", "-input=false", "-no-color",
            "-target=module.users.aws_secretsmanager_secret_version.user",
        )  # fmt: skip
        secretsmanager = client("secretsmanager", address, region=REGION)
        secrets = {}
        for user in ("relay", "worker"):
            text = secretsmanager.get_secret_value(SecretId=f"AmazonMSK_vigil-dev-{user}")[
                "SecretString"
            ]
            secrets[user] = json.loads(text)
            assert secrets[user]["username"] == user
            assert len(secrets[user]["password"]) == 40
        assert secrets["relay"]["password"] != secrets["worker"]["password"]
        state = (root / "terraform.tfstate").read_text()
        assert "AmazonMSK_vigil-dev-relay" in state
        assert not any(each["password"] in state for each in secrets.values())
