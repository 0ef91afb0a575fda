"""The cloud side as processes: relay and workers, with topics and groups of their own."""

import asyncio
import os
import sys
from pathlib import Path

from local.folder import DataFolder
from local.process import Process
from stores.catalog import Catalog, migrate
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import TOPICS

ROOT = Path(__file__).parents[1]
WORKERS = ("assemble", "heal", "join", "index")


class Cloud:
    """Starts, kills and restarts what runs in the cloud. Use as an async context manager."""

    def __init__(self, folder: Path, env: dict[str, str], *, workers: tuple[str, ...] = WORKERS):
        self.env = {**os.environ, **env, "VIGIL_DATA_DIR": str(folder / "state")}
        self.settings = Settings.model_validate(
            {
                name.removeprefix("VIGIL_").lower(): value
                for name, value in self.env.items()
                if name.startswith("VIGIL_")
            }
        )
        self._workers = workers
        data = DataFolder(folder / "processes")
        data.open(fresh=False)
        self.processes = {name: Process(name, data) for name in ("relay", *workers)}

    def start(self, name: str) -> None:
        """Start one process; it need not be ready when this returns."""
        command = (
            [sys.executable, "-m", "cli.main", "relay", "run"]
            if name == "relay"
            else [sys.executable, "-m", "faust", "-A", f"agents.{name}", "worker", "-l", "info"]
        )
        self.processes[name].start(command, env=self.env, cwd=ROOT)

    def kill(self, name: str) -> None:
        """kill -9 one process."""
        self.processes[name].kill()

    async def restart(self, name: str) -> None:
        """kill -9 one process and start it again."""
        await asyncio.to_thread(self.kill, name)
        await asyncio.to_thread(self.start, name)

    def running(self) -> dict[str, bool]:
        """Say which processes run."""
        return {name: process.running for name, process in self.processes.items()}

    async def __aenter__(self) -> "Cloud":
        await migrate(self.settings.database_url.get_secret_value())
        await ensure(TOPICS, of=self.settings)
        for name in self.processes:
            await asyncio.to_thread(self.start, name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.ask_to_stop()
        for process in self.processes.values():
            await asyncio.to_thread(process.stop)

    def catalog(self) -> Catalog:
        """Return the catalog, not yet opened."""
        return Catalog(self.settings.database_url.get_secret_value())

    def tails(self) -> str:
        """Return the last lines of all logs, for a failed test's message."""
        return "\n".join(f"--- {p.name}\n{p.tail(15)}" for p in self.processes.values())
