"""The joiner in a process of its own, so that its CPU and memory can be measured.

Reads `chunk-due` events, one JSON a line; joins each and prints what it cost, one JSON a line.
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from agents.joining.joiner import Joiner
from domain.errors import VigilError
from domain.events import ChunkDue, parse
from domain.times import utc_ms
from stores.objects import ObjectStore
from streams.settings import get_settings
from streams.storage import make_object_store


async def main() -> None:
    """Join what standard input names."""
    async with make_object_store(get_settings()) as store:
        async for _ in store.list("chunks/nothing/"):
            pass  # the client's connection and models are part of what is idle
        print(json.dumps({"idle_kib": _status("VmRSS")}), flush=True)
        for line in sys.stdin:
            event = parse(line.encode())
            if not isinstance(event, ChunkDue):
                raise VigilError(f"{event.type} is nothing to join.")
            print(json.dumps(await _join(store, event)), flush=True)


async def _join(store: ObjectStore, due: ChunkDue) -> dict[str, Any]:
    _forget_peak()
    began_s, began = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    chunk = await Joiner(store, utc_ms).join(due)
    took_s, ended = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime
    return {
        "key": chunk.object_key,
        "sha256": chunk.sha256,
        "fragments": len(chunk.fragments),
        "seconds": took_s,
        "cpu_s": cpu_s,
        "peak_kib": _status("VmHWM"),
    }


def _forget_peak() -> None:
    """Let the greatest resident size be counted from here on."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Return a figure of this process in KiB (proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise VigilError(f"/proc/self/status of {os.uname().sysname} names no {name}.")


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
