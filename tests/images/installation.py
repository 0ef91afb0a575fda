"""A whole installation from images alone, next to the services of this machine."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from domain.errors import VigilError
from local.devices import LocalDevices
from local.images.container import Container, Ended, give_to_user
from local.ports import HOST, find_free
from local.stack import Stack
from stores.catalog import Catalog
from streams.settings import Settings
from tests.cloud import quick
from tests.images.conftest import Images
from tests.waiting import wait_for

WORKERS = ("assemble", "heal", "join", "index")
DEVICES = "/etc/vigil/devices"
"""Where containers find keys and certificates."""


class Installation:
    """Containers of the cloud side and of one device. Use as an async context manager.

    The stack has started, with `devices`.
    """

    def __init__(self, images: Images, stack: Stack, folder: Path) -> None:
        self._images = images
        self._stack = stack
        self._folder = folder
        self._name = uuid.uuid4().hex[:8]
        self.tenant = f"t{self._name}"
        self._devices = LocalDevices(stack.folder, stack.ports)
        self._files = stack.folder.path / "devices"
        env = {**stack.env, **self._devices.prepare(), **quick(self._name)}
        self._web_port = find_free()
        self.url = f"http://{HOST}:{self._web_port}"
        env |= {
            "VIGIL_WEB_HOST": HOST,
            "VIGIL_WEB_PORT": str(self._web_port),
            "VIGIL_DATA_DIR": "/var/lib/vigil",
            "VIGIL_METRICS_HOST": HOST,
        }
        self.settings = Settings.model_validate(
            {n.removeprefix("VIGIL_").lower(): v for n, v in env.items() if n.startswith("VIGIL_")}
        )
        self._env = {name: value.replace(str(self._files), DEVICES) for name, value in env.items()}
        self.containers: dict[str, Container] = {}
        self._taken: set[int] = {self._web_port}

    def catalog(self) -> Catalog:
        """Return the catalog, not yet opened."""
        return Catalog(self.settings.database_url.get_secret_value())

    def vigil(self, *arguments: str) -> str:
        """Run a `vigil` command in a container of the cloud's image; return what it printed."""
        ended = self._cloud("command", "vigil", *arguments).run(within_s=600)
        if ended.code:
            raise VigilError(f"vigil {' '.join(arguments)}: {ended.output}")
        return ended.output.strip()

    async def __aenter__(self) -> "Installation":
        give_to_user(self._files)
        await asyncio.to_thread(self.vigil, "catalog", "migrate")
        await asyncio.to_thread(self.vigil, "topics", "ensure")
        commands = {"web": ("faust", "-A", "web.app", "worker", "-l", "warn")}
        commands["link"] = ("faust", "-A", "web.device.app", "worker", "-l", "warn")
        commands["relay"] = ("vigil", "relay", "run")
        commands |= {
            name: ("faust", "-A", f"agents.{name}", "worker", "-l", "warn") for name in WORKERS
        }
        try:
            for name, command in commands.items():
                self.containers[name] = self._cloud(name, *command)
                await asyncio.to_thread(self.containers[name].start)
            for name in commands:
                await self.healthy(name)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for container in self.containers.values():
            await asyncio.to_thread(container.remove)

    async def healthy(self, name: str) -> None:
        """Wait until the image's HEALTHCHECK passes."""
        container = self.containers[name]

        async def passes() -> bool:
            if not await asyncio.to_thread(lambda: container.running):
                raise AssertionError(f"{name} ended:\n{container.output()}")
            return await asyncio.to_thread(container.health) == 0

        await wait_for(
            passes,
            within_s=600,
            every_s=0.5,
            what=lambda: f"{name} is healthy\n{container.output()}",
        )

    async def start_device(self, url: str) -> None:
        """Enrol the device by a code, and let it record the camera `gate` at `url`."""
        assert self._stack.gate is not None
        site = f"{self.tenant}/hq"
        endpoint = self._stack.gate.endpoint
        env = self._env
        config: dict[str, Any] = {
            "site": site,
            "edge": "edge-1",
            "cloud": {
                "bucket": env["VIGIL_S3_BUCKET"],
                "queue_url": env["VIGIL_SQS_QUEUE_URL"].replace(
                    env["VIGIL_SQS_ENDPOINT"], endpoint
                ),
                "region": env["VIGIL_AWS_REGION"],
                "s3_endpoint": endpoint,
                "sqs_endpoint": endpoint,
            },
            "spool": {"dir": "/var/lib/vigil/spool", "free_floor_bytes": 0},
            "http": {"host": HOST, "port": self._free_port(), "password_env": "PAGE_PASSWORD"},
            "fragment_s": 2,
            "upload": {"flush_s": 60},
            "cameras": [{"id": "gate", "url": url}],
        }
        etc = self._folder / "etc"
        etc.mkdir()
        (etc / "edge.yaml").write_text(yaml.safe_dump(config))
        etc.chmod(0o755)
        await asyncio.to_thread(self.vigil, "camera", "add", f"{site}/gate")
        code = await asyncio.to_thread(self.vigil, "device", "code", site)
        ca_file = f"{DEVICES}/tls/ca.pem"
        enrolled = await asyncio.to_thread(
            self._edge("enrol", "enrol", "--config", "/etc/vigil/edge.yaml", "--url",
                       self._devices.url, "--ca-file", ca_file, "--code", code).run
        )  # fmt: skip
        assert enrolled.code == 0, enrolled.output
        await asyncio.to_thread(self.vigil, "site", "unsigned", site, "refuse")
        self.containers["edge"] = self._edge("edge")
        await asyncio.to_thread(self.containers["edge"].start)

    async def stop_all(self) -> dict[str, Ended]:
        """SIGTERM to all containers, the device first; return how they ended."""
        return {
            name: await asyncio.to_thread(container.stop)
            for name, container in reversed(self.containers.items())
        }

    def tails(self) -> str:
        """Return the last lines of all containers, for a failed test's message."""
        return "\n".join(f"--- {name}\n{c.output(15)}" for name, c in self.containers.items())

    def _free_port(self) -> int:
        port = find_free(self._taken)
        self._taken.add(port)
        return port

    def _cloud(self, name: str, *command: str) -> Container:
        env = {**self._env, "VIGIL_METRICS_PORT": str(self._free_port())}
        return self._container("vigil-cloud", name, command, env)

    def _edge(self, name: str, *command: str) -> Container:
        env = {"PAGE_PASSWORD": uuid.uuid4().hex, "AWS_EC2_METADATA_DISABLED": "true"}
        container = self._container("vigil-edge-cpu", name, command, env)
        container.mounts = {
            **container.mounts, "/etc/vigil/edge.yaml": self._folder / "etc" / "edge.yaml"
        }  # fmt: skip
        container.volumes = {"/var/lib/vigil": self._folder / "device"}
        return container

    def _container(
        self, image: str, name: str, command: tuple[str, ...], env: Mapping[str, str]
    ) -> Container:
        return Container(
            self._images.engine,
            f"vigil-{self._name}-{name}",
            self._images.name(image),
            command,
            env=env,
            mounts={DEVICES: self._files},
            volumes={"/var/lib/vigil": self._folder / name},
        )
