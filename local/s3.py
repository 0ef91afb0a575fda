"""S3 by moto's server. It keeps objects in memory: they are gone when it ends."""

import sys

from local.aws import client
from local.ports import HOST
from local.service import Service

BUCKET = "vigil"


class ObjectStore(Service):
    """The bucket of fragments and chunks."""

    name = "s3"
    title = "S3 (moto, in memory)"

    def prepare(self) -> None:
        """Take the port."""
        self._port = self.ports.take("s3")
        self.home.mkdir(exist_ok=True)

    def command(self) -> list[str]:
        """Return the server's command line."""
        return [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(self._port)]

    def answers(self) -> bool:
        """Ask for the bucket; makes it when it is missing."""
        try:
            s3 = client("s3", self.endpoint)
            if not any(bucket["Name"] == BUCKET for bucket in s3.list_buckets()["Buckets"]):
                s3.create_bucket(
                    Bucket=BUCKET,
                    CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
                )
        except Exception:
            return False
        return True

    def settings(self) -> dict[str, str]:
        """Return the store's address."""
        return {"VIGIL_S3_ENDPOINT": self.endpoint, "VIGIL_S3_BUCKET": BUCKET}

    @property
    def endpoint(self) -> str:
        """Return the address of the S3 interface."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Return host and port of the server."""
        return f"{HOST}:{self._port}"
