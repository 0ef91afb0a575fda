"""The gate before S3 and SQS (aws_gate.py) as a service of the stack."""

import http.client
import sys

from local.folder import DataFolder, project_root
from local.ports import HOST, Ports
from local.service import Report, Service

ROLE_ARN = "arn:aws:iam::000000000000:role/vigil-device"


class AwsGateService(Service):
    """What devices reach instead of S3 and SQS. Those must have taken their ports before."""

    name = "aws-gate"
    title = "S3, SQS and STS for devices"

    def __init__(self, folder: DataFolder, ports: Ports, report: Report) -> None:
        super().__init__(folder, ports, report)
        self._port = 0
        self._servers: list[int] = []

    def prepare(self) -> None:
        """Take the port."""
        self.home.mkdir(exist_ok=True)
        self._port = self.ports.take(self.name)
        known = self.folder.read_json("ports.json")
        self._servers = [known["s3"], known["sqs"]]

    def command(self) -> list[str]:
        """Return the command line."""
        ports = [str(port) for port in (self._port, *self._servers)]
        return [sys.executable, "-m", "local.aws_gate", *ports, str(self.home / "secret")]

    def environment(self) -> dict[str, str]:
        """Return the environment: the program is in the project's folder."""
        return {**super().environment(), "PYTHONPATH": str(project_root())}

    def answers(self) -> bool:
        """Whether it refuses a request without a signature."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 403
        except OSError:
            return False
        finally:
            connection.close()

    def settings(self) -> dict[str, str]:
        """Return the settings by which devices get credentials."""
        return {"VIGIL_STS_ENDPOINT": self.endpoint, "VIGIL_DEVICE_ROLE_ARN": ROLE_ARN}

    @property
    def endpoint(self) -> str:
        """Return the address of all three services."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Return host and port."""
        return f"{HOST}:{self._port}"
