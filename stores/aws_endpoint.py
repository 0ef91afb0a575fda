"""Where S3 and SQS are reached: AWS's own addresses by region, or a configured one."""

from dataclasses import dataclass

_DNS_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
)
"""Beginnings of the regions that are not in AWS's main partition, and their DNS suffixes."""


@dataclass(frozen=True, slots=True)
class AwsEndpoint:
    """The endpoint of S3 or SQS. Credentials come from AWS's usual environment or role."""

    region: str
    url: str | None = None
    """Only for services that are not AWS."""
    ca_file: str | None = None
    """PEM file of a private certificate authority."""
    read_timeout_s: int = 30
    """How long a response may take after the request is sent."""
    max_attempts: int = 3
    """Attempts of each request; 1 where the caller retries."""

    def service_url(self, service: str) -> str:
        """Return the address of `service` ("s3" or "sqs"), without a slash at its end."""
        if self.url is not None:
            return self.url.rstrip("/")
        return f"https://{self._host(service)}"

    def bucket_url(self, bucket: str) -> str:
        """Return the address below which a bucket's keys are, without a slash at its end.

        Other services than AWS get the bucket in the path, which they all accept. AWS gets it in
        the host name, except where a dot in it does not match the certificate.
        """
        if self.url is not None or "." in bucket:
            return f"{self.service_url('s3')}/{bucket}"
        return f"https://{bucket}.{self._host('s3')}"

    def _host(self, service: str) -> str:
        suffix = next(
            (suffix for start, suffix in _DNS_SUFFIXES if self.region.startswith(start)),
            "amazonaws.com",
        )
        return f"{service}.{self.region}.{suffix}"
