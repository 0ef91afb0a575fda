"""Print the values that Terraform knows, for values-ENVIRONMENT.yaml: `make values ENV=dev`.

It reads the parameters that the roots network, data and cluster write, with the caller's rights
in AWS.
"""

import json
import os
import sys
from typing import Any

import boto3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

ENVIRONMENTS = ("dev", "staging", "production")


def values(
    network: dict[str, Any], data: dict[str, Any], cluster: dict[str, Any]
) -> dict[str, Any]:
    """Return the chart's values from the three parameters."""
    keys = [data["video_kms_key_arn"], data["queue_kms_key_arn"]]
    return {
        "settings": {
            "VIGIL_KAFKA_BROKERS": data["brokers"],
            "VIGIL_S3_BUCKET": data["video_bucket"],
            "VIGIL_SQS_QUEUE_URL": data["events_url"],
            "VIGIL_SQS_DEAD_LETTER_URL": data["dead_letters_url"],
            "VIGIL_AWS_REGION": cluster["region"],
            "VIGIL_DEVICE_ROLE_ARN": cluster["device_role_arn"],
            "VIGIL_DEVICE_KMS_KEY_ARNS": ",".join(keys),
        },
        "networkPolicy": {"s3Networks": network["s3_networks"]},
        "programs": {"audit": {"bucket": data["audit_bucket"]}},
    }


def read(environment: str) -> dict[str, Any]:
    """Return the values of an environment. Raises BotoCoreError, ClientError, KeyError."""
    client: Any = boto3.client("ssm", endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
    network, data, cluster = (
        json.loads(
            client.get_parameter(Name=f"/vigil/vigil-{environment}/{root}")["Parameter"]["Value"]
        )
        for root in ("network", "data", "cluster")
    )
    return values(network, data, cluster)


def main() -> int:
    """Print the values as YAML; 1 where they cannot be read, 2 for a wrong name."""
    environment = sys.argv[1] if len(sys.argv) > 1 else ""
    if environment not in ENVIRONMENTS:
        print(
            f"Name an environment ({', '.join(ENVIRONMENTS)}): make values ENV=dev", file=sys.stderr
        )
        return 2
    try:
        found = read(environment)
    except (BotoCoreError, ClientError) as error:
        print(
            f"The parameters of {environment} cannot be read: {error}. Apply the roots network, "
            "data and cluster first, and sign in to that account.",
            file=sys.stderr,
        )
        return 1
    print(yaml.safe_dump(found, sort_keys=False, width=200), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
