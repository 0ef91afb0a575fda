"""The `cloud` section: the bucket and the queue."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from edge_bridge.config.section import ConfigSection


class CloudConfig(ConfigSection):
    """Where fragments and events are sent. Credentials come from AWS's environment or files."""

    bucket: str = Field(min_length=3, description="S3 bucket of the fragments")
    queue_url: str = Field(min_length=8, description="address of the SQS queue")
    region: str = Field("eu-central-1", description="region of bucket and queue")
    s3_endpoint: str | None = Field(None, description="only for stores that are not AWS S3")
    sqs_endpoint: str | None = Field(None, description="only for queues that are not AWS SQS")
    ca_file: Path | None = Field(None, description="PEM file of a certificate authority")

    def warnings(self) -> list[str]:
        """Return what is not safe. Recording goes on: a device that stops is worse."""
        return [
            f"cloud.{name} begins with http:// and leaves the local network, so footage and "
            "messages can be read on the way: use https://"
            for name in ("queue_url", "s3_endpoint", "sqs_endpoint")
            if (parts := urlsplit(getattr(self, name) or "")).scheme == "http"
            and not is_private(parts.hostname or "")
        ]


def is_private(host: str) -> bool:
    """Say whether a host is on this device or in a private network, as a store at the site is."""
    try:
        return ip_address(host).is_private
    except ValueError:
        # A name without a dot is of the local network or of this machine's containers.
        return "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
