"""S3Proxy: S3 over a folder. Objects are files, and survive a restart."""

import os
from pathlib import Path

from domain.errors import VigilError
from local import java
from local.aws import CREDENTIALS, REGION, client
from local.ports import HOST
from local.service import Service

BUCKET = "vigil"

_CONFIGURATION = """\
s3proxy.endpoint=http://{host}:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={identity}
s3proxy.credential={credential}
s3proxy.cors-allow-all=true
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={objects}
"""


class S3Proxy(Service):
    """The bucket of fragments and chunks. It checks signatures, hashes and If-None-Match."""

    name = "s3"
    title = "S3 (S3Proxy)"

    def prepare(self) -> None:
        """Write the configuration."""
        self._jars = java.jars("s3proxy", self.report)
        self._port = self.ports.take("s3")
        objects = self.home / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        _check_attributes(objects)
        (self.home / "s3proxy.conf").write_text(
            _CONFIGURATION.format(
                host=HOST,
                port=self._port,
                identity=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                credential=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                objects=objects,
            )
        )

    def command(self) -> list[str]:
        """Return the server's command line."""
        options = java.small_server(self.home, most_mib=192, full_jit=self.full_jit)
        return [
            *java.command(self.home / "java.args", options, self._jars),
            "org.gaul.s3proxy.Main",
            "--properties",
            str(self.home / "s3proxy.conf"),
        ]

    def answers(self) -> bool:
        """List the bucket; creates it if it is missing."""
        try:
            s3 = client("s3", self.endpoint)
            if not any(bucket["Name"] == BUCKET for bucket in s3.list_buckets()["Buckets"]):
                s3.create_bucket(
                    Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
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


def _check_attributes(folder: Path) -> None:
    """Make sure that the folder can store extended attributes: they have the objects' metadata."""
    if not hasattr(os, "setxattr"):
        return
    try:
        os.setxattr(folder, "user.vigil", b"1")
    except OSError as error:
        raise VigilError(
            f"The file system of {folder} has no extended attributes ({error.strerror}), which "
            "local S3 needs. Name a folder on another file system with --data."
        ) from error
