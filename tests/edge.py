"""The edge as a process, configured for the services of a test."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from local.folder import DataFolder
from local.program import Program, vigil
from streams.settings import Settings

FLUSH_S = 60


class Edge:
    """Starts and kills one `vigil edge run`. Use as an async context manager."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        site: str,
        cameras: Sequence[Mapping[str, Any]],
        *,
        env: Mapping[str, str],
        **options: Any,
    ) -> None:
        """`cameras` are the entries of the configuration, `options` its further keys."""
        config = {
            "site": site,
            "edge": "edge-1",
            "cloud": {
                "bucket": settings.s3_bucket,
                "queue_url": settings.sqs_queue_url,
                "region": settings.aws_region,
                "s3_endpoint": settings.s3_endpoint,
                "sqs_endpoint": settings.sqs_endpoint,
            },
            "spool": {"dir": str(folder / "spool"), "free_floor_bytes": 0},
            "fragment_s": 2,
            # When `stop` returns, everything is in the cloud, on a slow machine too.
            "upload": {"flush_s": FLUSH_S},
            "cameras": [dict(camera) for camera in cameras],
            **options,
        }
        data = DataFolder(folder / "edge")
        data.open(fresh=False)
        self.config = folder / "edge.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self._program = Program(
            "edge",
            vigil("edge", "run", "--config", str(self.config)),
            data,
            {**os.environ, **env},
            stop_within_s=FLUSH_S + 30,
        )

    def start(self) -> None:
        """Start it."""
        self._program.launch()

    def kill(self) -> None:
        """kill -9."""
        self._program.process.kill()

    @property
    def pid(self) -> int:
        """The edge's process id."""
        pid = self._program.process.pid
        assert pid is not None, "the edge is not running"
        return pid

    async def stop(self) -> int | None:
        """SIGTERM; returns the exit code."""
        return await asyncio.to_thread(self._program.process.stop)

    async def __aenter__(self) -> "Edge":
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def tail(self) -> str:
        """Return the last lines of its log."""
        return self._program.process.tail(30)
