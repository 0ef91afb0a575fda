"""The cloud side as processes: relay, workers, web, with topics and groups of their own."""

import asyncio
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import aiohttp

from local.aws import client
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.process import Process
from local.program import Program, vigil, worker
from stores.catalog import Catalog, migrate
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import TOPICS
from tests.waiting import wait_for

WORKERS = ("assemble", "heal", "join", "index")


def quick(name: str) -> dict[str, str]:
    """Return settings that make a test's names its own and its windows short."""
    return {
        "VIGIL_TOPIC_PREFIX": f"{name}-",
        "VIGIL_APP_PREFIX": f"t{name}",
        "VIGIL_PARTITIONS": "2",
        "VIGIL_WINDOW_MS": "10000",
        "VIGIL_GRACE_MS": "4000",
        "VIGIL_IDLE_MS": "4000",
        "VIGIL_LATE_MS": "1000",
        "VIGIL_TICK_MS": "500",
        "VIGIL_SESSION_TIMEOUT_S": "6",
    }


def make_queues(of: Mapping[str, str]) -> dict[str, str]:
    """Make queues that no other test's messages are in, and return the settings that name them."""
    endpoint, found = of["VIGIL_SQS_ENDPOINT"], {}
    sqs = client("sqs", endpoint, of.get("VIGIL_AWS_CA_FILE"))
    for which in ("QUEUE", "DEAD_LETTER"):
        made = sqs.create_queue(QueueName=f"test-{uuid.uuid4().hex}")["QueueUrl"]
        # The server knows nothing of what speaks TLS for it.
        found[f"VIGIL_SQS_{which}_URL"] = endpoint + urlsplit(made).path
    return found


KAFKA_USERS = {"relay": "relay"} | dict.fromkeys(WORKERS, "workers")
"""By program: the Kafka user with as few rights as it needs."""


class Cloud:
    """Starts, kills and restarts what runs in the cloud. Use as an async context manager."""

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str],
        *,
        web: bool = False,
        kafka_users: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`kafka_users`: by program, the Kafka user that it is; by default that of `env`."""
        self.url = ""
        own = {"VIGIL_DATA_DIR": str(folder / "state")}
        if web:
            port = find_free()
            self.url = f"http://{HOST}:{port}"
            own |= {"VIGIL_WEB_HOST": HOST, "VIGIL_WEB_PORT": str(port)}
        self.env = {**os.environ, **env, **own}
        self.env |= make_queues(self.env)
        self.settings = Settings.model_validate(
            {
                name.removeprefix("VIGIL_").lower(): value
                for name, value in self.env.items()
                if name.startswith("VIGIL_")
            }
        )
        data = DataFolder(folder / "processes")
        data.open(fresh=False)
        commands = {"relay": vigil("relay", "run")}
        commands |= {name: worker(f"agents.{name}") for name in WORKERS}
        if web:
            commands["web"] = worker("web.app")
        self.ports: dict[str, int] = {}
        """Where each process answers /metrics and /readyz; the web's are at `url`."""
        for name in commands:
            self.ports[name] = find_free({int(own.get("VIGIL_WEB_PORT", 0)), *self.ports.values()})
        self.programs = {
            name: Program(
                name,
                command,
                data,
                self.env
                | {"VIGIL_METRICS_PORT": str(self.ports[name])}
                | ({"VIGIL_KAFKA_USERNAME": kafka_users[name]} if name in kafka_users else {}),
            )
            for name, command in commands.items()
        }

    def start(self, name: str) -> None:
        """Start one process; it need not be ready when this returns."""
        self.programs[name].launch()

    def kill(self, name: str) -> None:
        """kill -9 one process."""
        self.programs[name].process.kill()

    async def restart(self, name: str) -> None:
        """kill -9 one process and start it again."""
        await asyncio.to_thread(self.kill, name)
        await asyncio.to_thread(self.start, name)

    def running(self) -> dict[str, bool]:
        """Say which processes run."""
        return {name: program.running for name, program in self.programs.items()}

    async def __aenter__(self) -> "Cloud":
        await migrate(self.settings.database_url.get_secret_value())
        await ensure(TOPICS, settings=self.settings)
        for name in self.programs:
            await asyncio.to_thread(self.start, name)
        if self.url:
            await wait_for(
                self._answers, within_s=60, what=lambda: f"the page answers\n{self.tails()}"
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        processes: list[Process] = [program.process for program in self.programs.values()]
        for process in processes:
            process.ask_to_stop()
        for process in processes:
            await asyncio.to_thread(process.stop)

    async def _answers(self) -> bool:
        try:
            async with aiohttp.request("GET", f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def catalog(self) -> Catalog:
        """Return the catalog, not yet opened."""
        return Catalog(self.settings.database_url.get_secret_value())

    def tails(self) -> str:
        """Return the last lines of all logs, for a failed test's message."""
        return "\n".join(
            f"--- {name}\n{program.process.tail(15)}" for name, program in self.programs.items()
        )
