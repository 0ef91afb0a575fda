"""All local services together, in one data folder."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from domain.errors import ConfigError
from local.aws import CREDENTIALS, REGION
from local.certificates import Certificates
from local.folder import DataFolder
from local.gate import AwsGateService
from local.kafka import Kafka
from local.ports import Ports
from local.postgres import Postgres
from local.s3 import S3Proxy
from local.service import Report, Service
from local.sqs import ElasticMq
from local.tls_front import TlsFront

SERVICES: tuple[type[Service], ...] = (Kafka, ElasticMq, Postgres, S3Proxy)


def _quiet(_line: str) -> None:
    """Report nothing."""


class Stack:
    """Kafka, PostgreSQL, S3 and SQS on loopback ports; a context manager that stops them.

    Its methods block: with an event loop, call them from a thread.
    """

    def __init__(
        self,
        data: Path,
        *,
        ports: Mapping[str, int] | None = None,
        fresh: bool = False,
        report: Report = _quiet,
        tls: bool = False,
        full_jit: bool = False,
        devices: bool = False,
    ) -> None:
        """`devices`: also the gate, which gives devices credentials of their site.

        `tls`: all servers require TLS; Kafka and PostgreSQL require a password too.

        `full_jit`: S3 starts slower and works faster (java.py).
        """
        self.folder = DataFolder(data)
        self._fresh = fresh
        self._report = report
        self.ports = Ports(self.folder, ports)
        self.services: dict[str, Service] = {
            kind.name: kind(self.folder, self.ports, report) for kind in SERVICES
        }
        for service in self.services.values():
            service.full_jit = full_jit
        self.gate: AwsGateService | None = None
        if devices:
            self.gate = AwsGateService(self.folder, self.ports, report)
            self.services[self.gate.name] = self.gate
        self._front: TlsFront | None = None
        self._certificates = Certificates(data.resolve() / "tls") if tls else None
        if self._certificates is not None:
            self._front = TlsFront(self.folder, self.ports, report, self._certificates)
            self.services[self._front.name] = self._front
            for service in self.services.values():
                service.certificates = self._certificates

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all services and wait until each answers. After a VigilError none runs."""
        self.folder.open(fresh=self._fresh)
        try:
            began = time.monotonic()
            if self._certificates is not None:
                self._certificates.make()
            for service in self.services.values():
                service.launch()
            for service in self.services.values():
                service.wait()
                took = time.monotonic() - began
                self._report(f"{service.title} is ready at {service.address} ({took:.1f} s)")
            self.write_env()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all services and release the data folder."""
        for service in self.services.values():
            service.process.ask_to_stop()
        for service in self.services.values():
            service.process.stop()
        self.folder.close()

    def restart(self, name: str) -> None:
        """Stop one service (if it runs) and start it again on its port; waits until it answers."""
        service = self._service(name)
        service.process.stop()
        service.launch()
        service.wait()

    def kill(self, name: str) -> None:
        """End one service with SIGKILL; it stays down until `restart`."""
        self._service(name).process.kill()

    @property
    def env(self) -> dict[str, str]:
        """The settings for programs that use the stack, to be added to `os.environ`."""
        env = {
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "VIGIL_AWS_REGION": REGION,
            "VIGIL_DATA_DIR": str(self.folder.path),
            "VIGIL_SESSION_SECRET": self.folder.secret(),
            # Browsers cannot follow a redirect to the local store from another origin.
            "VIGIL_MEDIA_DELIVERY": "stream",
        }
        for service in self.services.values():
            env.update(service.settings())
        return self._front.override(env) if self._front is not None else env

    def write_env(self, extra: Mapping[str, str] | None = None) -> None:
        """Write `vigil.env`: one NAME=VALUE per line, readable only by its owner."""
        path = self.folder.env_file
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            for name, value in sorted({**self.env, **(extra or {})}.items()):
                file.write(f"{name}={value}\n")

    def _service(self, name: str) -> Service:
        if name not in self.services:
            raise ConfigError(f"There is no service {name}; there are {', '.join(self.services)}.")
        return self.services[name]


def read_env(path: Path) -> dict[str, str]:
    """Return the settings in an env file; raises ConfigError if it is missing."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing. Run `vigil services start` first.") from None
    return dict(line.split("=", 1) for line in lines if "=" in line)
