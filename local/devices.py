"""The devices' address on this machine: its files, its settings, the enrolment of the demo's edge.

The edge is enrolled as a customer's is: a code in the cloud, a command on the device.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from local.certificates import Certificates
from local.folder import DataFolder
from local.ports import HOST, Ports
from local.program import Program, worker

Run = Callable[..., str]
"""Runs a `vigil` command in the cloud's environment; returns what it printed."""


class LocalDevices:
    """One per data folder."""

    def __init__(self, folder: DataFolder, ports: Ports) -> None:
        self._folder = folder
        self._home = folder.path / "devices"
        self._ca = self._home / "device-ca.pem"
        self._ca_key = self._home / "device-ca.key"
        self._config_key = self._home / "config-key.pem"
        self._tls = Certificates(self._home / "tls")
        self._port = ports.take("device")

    @property
    def url(self) -> str:
        """The address at which devices are answered."""
        return f"https://{HOST}:{self._port}"

    def prepare(self) -> dict[str, str]:
        """Make the authorities that are missing; return the settings."""
        from stores.device_ca import create_ca  # noqa: PLC0415 - slow to import

        self._tls.make()
        if not self._ca.exists():
            create_ca(self._ca, self._ca_key, "Local devices", datetime.now(UTC))
        return {
            "VIGIL_DEVICE_HOST": HOST,
            "VIGIL_DEVICE_PORT": str(self._port),
            "VIGIL_DEVICE_TLS_CERTIFICATE_FILE": str(self._tls.server_file),
            "VIGIL_DEVICE_TLS_KEY_FILE": str(self._tls.server_file),
            "VIGIL_DEVICE_CA_CERTIFICATE_FILE": str(self._ca),
            "VIGIL_DEVICE_CA_KEY_FILE": str(self._ca_key),
        }

    @property
    def config_key_settings(self) -> dict[str, str]:
        """The setting of the key that signs sites' configurations; `make_config_key` makes it."""
        return {"VIGIL_CONFIG_KEY_FILE": str(self._config_key)}

    def make_config_key(self, run: Run) -> None:
        """Make the key that signs sites' configurations. The catalog must be migrated."""
        if not self._config_key.exists():
            run("config-key", "create", str(self._config_key))

    def worker(self, env: Mapping[str, str]) -> Program:
        """Return the worker of the address."""
        return Program("device", worker("web.device.app"), self._folder, env)

    def enrol(self, site: str, edge: str, config: Path, run: Run) -> bool:
        """Enrol the edge unless it is enrolled; from then on its site refuses unsigned events.

        Returns whether it was enrolled now. The worker of the address must run.
        """
        if (self._folder.path / "spool" / "identity" / "identity.json").exists():
            return False
        known = any(
            line.startswith(f"{site}/{edge} ") for line in run("device", "list").splitlines()
        )
        # A device whose folder was deleted is enrolled again, with a new key.
        code = run("device", "code", f"{site}/{edge}" if known else site).strip()
        run(*self.enrol_command(config, code))
        run("site", "unsigned", site, "refuse")
        return True

    def enrol_command(self, config: Path, code: str) -> list[str]:
        """Return the command that the device runs."""
        options = ("--url", self.url, "--ca-file", str(self._tls.ca_file), "--code", code)
        return ["edge", "enrol", "--config", str(config), *options]


def edge_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the demo's edge: nothing of the cloud, and no AWS credentials."""
    kept = ("VIGIL_NATIVE", "AWS_EC2_METADATA_DISABLED")
    return {
        name: value
        for name, value in env.items()
        if name in kept or not name.startswith(("VIGIL_", "AWS_"))
    }
