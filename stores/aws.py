"""How a client of S3 or SQS is made: time limits, certificates, retries."""

from dataclasses import dataclass
from typing import Any

import aioboto3
from botocore.config import Config


@dataclass(frozen=True, slots=True)
class AwsEndpoint:
    """Where S3 or SQS answers. Credentials come from AWS's usual environment or role."""

    region: str
    url: str | None = None
    """Only for services that are not AWS's own."""
    ca_file: str | None = None
    """PEM file of a certificate authority of one's own."""


def client(service: str, endpoint: AwsEndpoint, *, connections: int) -> Any:
    """Return an aioboto3 client context for `service`; it retries three times by itself."""
    config = Config(
        region_name=endpoint.region,
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 3},
        max_pool_connections=connections,
        tcp_keepalive=True,
        s3={"addressing_style": "path" if endpoint.url else "auto"},
        # Fragments carry a SHA-256 of their own, checked at every reading.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return aioboto3.Session().client(
        service, endpoint_url=endpoint.url, config=config, verify=endpoint.ca_file
    )
