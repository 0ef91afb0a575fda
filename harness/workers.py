"""The cloud side of a bench as processes: several of each worker, killed and replaced by name."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.folder import DataFolder
from local.program import Program, vigil, worker
from streams.settings import Settings

RELAY = "relay"


class Workers:
    """Named `relay`, `assemble-0`, `assemble-1` …; what ends by itself is started again.

    `counts` says how many of each there are. Use as an async context manager.
    """

    def __init__(
        self, folder: Path, env: Mapping[str, str], counts: Mapping[str, int], *, relay: bool = True
    ) -> None:
        self._state = folder / "state"
        self.env = {**os.environ, **env, "VIGIL_DATA_DIR": str(self._state)}
        self._data = DataFolder(folder / "processes")
        self._data.open(fresh=False)
        self.programs: dict[str, Program] = {}
        if relay:
            self.programs[RELAY] = Program(RELAY, vigil("relay", "run"), self._data, self.env)
        for kind, count in counts.items():
            for number in range(count):
                name = f"{kind}-{number}"
                own = {**self.env, "VIGIL_WORKER_INSTANCE": str(number)}
                self.programs[name] = Program(name, worker(f"agents.{kind}"), self._data, own)
        self._down: set[str] = set()
        self._watch: asyncio.Task[None] | None = None
        self.ended_by_themselves: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        for name in self.programs:
            await self.start(name)
        self._watch = asyncio.create_task(self._start_again())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for program in self.programs.values():
            program.process.ask_to_stop()
        for program in self.programs.values():
            await asyncio.to_thread(program.process.stop)
        with contextlib.suppress(OSError):
            self._data.close()

    async def start(self, name: str) -> None:
        """Start one; it need not be ready when this returns."""
        await asyncio.to_thread(self.programs[name].launch)
        self._down.discard(name)

    async def kill(self, name: str, *, wipe: bool = False) -> None:
        """kill -9 one; it stays down until `start`. `wipe` deletes its tables' folder too."""
        self._down.add(name)
        await asyncio.to_thread(self.programs[name].process.kill)
        if wipe:
            kind, number = name.rsplit("-", 1)
            settings = Settings.model_validate(
                {"app_prefix": self.env.get("VIGIL_APP_PREFIX", "vigil")}
            )
            folder = self._state / "workers" / f"{settings.app_prefix}-{kind}-{number}"
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def replace(self, name: str) -> None:
        """End one as a deployment does (SIGTERM) and start its successor."""
        self._down.add(name)
        await asyncio.to_thread(self.programs[name].process.stop)
        await self.start(name)

    def pid(self, name: str) -> int | None:
        """Return a worker's process id while it runs."""
        return self.programs[name].process.pid

    def tail(self, name: str, lines: int = 15) -> str:
        """Return the end of a worker's log."""
        return self.programs[name].process.tail(lines)

    async def _start_again(self) -> None:
        while True:
            await asyncio.sleep(1)
            for name, program in self.programs.items():
                if name not in self._down and not program.running:
                    self.ended_by_themselves[name] = self.ended_by_themselves.get(name, 0) + 1
                    await self.start(name)
