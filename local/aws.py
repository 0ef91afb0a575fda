"""Clients and credentials for the local substitutes of S3 and SQS."""

from typing import Any

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "vigil-local", "AWS_SECRET_ACCESS_KEY": "vigil-local"}
REGION = "eu-central-1"


def client(service: str, endpoint: str, ca_file: str | None = None, *, region: str = REGION) -> Any:
    """Return a boto3 client with a timeout of 20 s; `ca_file` has the authority for TLS."""
    import boto3  # noqa: PLC0415 - slow to import
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        service,
        endpoint_url=endpoint,
        verify=ca_file,
        region_name=region,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"max_attempts": 1},
            proxies={},
            s3={"addressing_style": "path"},
        ),
    )
