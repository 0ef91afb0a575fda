"""moto as a server: a substitute for AWS's APIs, for what Terraform applies."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from local.ports import HOST, find_free

SERVICES = (
    "acm", "appautoscaling", "backup", "budgets", "cloudwatch", "codebuild", "codepipeline",
    "dynamodb", "ec2", "ecr", "eks", "events", "iam", "kafka", "kms", "logs", "rds",
    "route53resolver", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts",
)  # fmt: skip
"""Services whose endpoint the provider takes from here."""
REGION = "us-east-1"


@contextmanager
def moto_server() -> Iterator[str]:
    """Start a server on a free port; yield its address."""
    port = find_free()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://{HOST}:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{address}/moto-api/", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, "moto ended"
                assert time.monotonic() < deadline, "moto does not answer"
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def provider(address: str) -> str:
    """Return the configuration that requires the provider, and has its APIs from moto."""
    endpoints = "\n".join(f'    {name} = "{address}"' for name in SERVICES)
    return f"""
terraform {{
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }}
  }}
}}

provider "aws" {{
  region                      = "{REGION}"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = "true"
  skip_requesting_account_id  = true
  s3_use_path_style           = true
  endpoints {{
{endpoints}
  }}
}}
"""
