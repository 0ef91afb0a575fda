"""What a device may do in AWS: the session policy of its credentials. Pure.

One statement for each thing that an edge does: create objects of its site, send messages to the
queue. There is no list, no read, no delete, no overwrite. docs/design/edge-link.md says why.
"""

import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

from domain.device_identity import check_device
from domain.errors import ConfigError

LIFE_S = 3_600
"""Of the credentials: AWS's limit where a role assumes another one."""
MAX_POLICY_CHARS = 2_048
"""AWS's limit."""
_SESSION_NAME_CHARS = 64


def device_policy(
    device: str, bucket: str, queue_arn: str, kms_key_arns: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the policy of a device's credentials.

    `kms_key_arns`: keys with which bucket and queue are encrypted. `s3:if-none-match` is there only
    in a request that creates. So neither an overwrite nor an upload in parts is allowed.
    """
    tenant, site, _ = check_device(device).split("/")
    partition = queue_arn.split(":")[1]
    objects = f"arn:{partition}:s3:::{bucket}/fragments/{tenant}/{site}/*"
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": objects,
            "Condition": {"Null": {"s3:if-none-match": "false"}},
        },
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn},
    ]
    if kms_key_arns:
        statements.append(
            {
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": list(kms_key_arns),
                # Only by way of S3 and SQS, which decrypt nothing for this policy.
                "Condition": {"StringLike": {"kms:ViaService": ["s3.*", "sqs.*"]}},
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def queue_arn(queue_url: str, region: str) -> str:
    """Return the ARN of a queue's URL; ConfigError where the URL names no account and queue."""
    parts = urlsplit(queue_url).path.strip("/").split("/")
    if len(parts) < 2 or not re.fullmatch(r"[0-9]{12}", parts[-2]):
        raise ConfigError(
            f"VIGIL_SQS_QUEUE_URL {queue_url} names no queue: write https://HOST/ACCOUNT/QUEUE."
        )
    return f"arn:{_partition(region)}:sqs:{region}:{parts[-2]}:{parts[-1]}"


def session_name(device: str) -> str:
    """Return the name of a device's sessions in AWS's logs: at most 64 characters, distinct."""
    plain = device.replace("/", "=")
    if len(plain) <= _SESSION_NAME_CHARS:
        return plain
    digest = hashlib.sha256(device.encode()).hexdigest()[:16]
    return f"{plain[: _SESSION_NAME_CHARS - 17]}={digest}"


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws-eusc" if region.startswith("eusc-") else "aws"
