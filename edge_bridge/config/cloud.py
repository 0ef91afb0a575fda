"""The `cloud` section: the bucket and the queue."""

from pathlib import Path

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
