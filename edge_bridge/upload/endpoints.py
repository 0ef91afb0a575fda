"""Where S3 and SQS are reached."""

from edge_bridge.config import CloudConfig
from stores.aws import AwsEndpoint


def endpoints(cloud: CloudConfig) -> tuple[AwsEndpoint, AwsEndpoint]:
    """Return the endpoints of S3 and of SQS."""
    ca_file = str(cloud.ca_file) if cloud.ca_file else None
    return (
        # The uploads have timeouts and retries of their own.
        AwsEndpoint(cloud.region, cloud.s3_endpoint, ca_file, answer_s=3_600, attempts=1),
        AwsEndpoint(cloud.region, cloud.sqs_endpoint, ca_file, answer_s=60, attempts=1),
    )
