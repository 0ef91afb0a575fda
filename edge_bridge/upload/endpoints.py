"""Where S3 and SQS are reached."""

from edge_bridge.config import CloudConfig
from stores.aws_endpoint import AwsEndpoint


def endpoints(cloud: CloudConfig) -> tuple[AwsEndpoint, AwsEndpoint]:
    """Return the endpoints of S3 and of SQS."""
    ca_file = str(cloud.ca_file) if cloud.ca_file else None
    return (
        # The uploads have timeouts and retries of their own.
        AwsEndpoint(cloud.region, cloud.s3_endpoint, ca_file, read_timeout_s=3_600, max_attempts=1),
        AwsEndpoint(cloud.region, cloud.sqs_endpoint, ca_file, read_timeout_s=60, max_attempts=1),
    )
