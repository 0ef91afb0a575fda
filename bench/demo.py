"""The whole demo as a program of its own, for benches that measure it."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from domain.errors import VigilError


@asynccontextmanager
async def running_demo(
    cameras: int, *options: str, data: Path | None = None
) -> AsyncIterator[tuple[dict[str, Any], Path]]:
    """Run the demo until the end; yield its ready file and its data folder (default: a new one)."""
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as scratch:
        folder = (data or Path(scratch) / "data").resolve()
        ready = Path(scratch) / "ready.json"
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "demo", "--cameras", str(cameras), *options),
            *("--ready-file", str(ready)),
            env={**os.environ, "VIGIL_DATA_DIR": str(folder)},
            cwd=Path(__file__).parents[1],
            stdout=sys.stderr,
        )
        try:
            while not ready.exists():
                if demo.returncode is not None:
                    raise VigilError("the demo ended before it was ready; see its messages above.")
                await asyncio.sleep(0.2)
            yield json.loads(ready.read_text()), folder
        finally:
            if demo.returncode is None:
                demo.terminate()
                await demo.wait()
