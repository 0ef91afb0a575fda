"""The joiner in a process of its own, so that its CPU and memory can be measured.

Reads `chunk-due` events, one JSON a line; joins each and prints what it cost, one JSON a line.
With `--copy` it only copies the bytes by obstore: what the joiner cannot be faster than.
"""

import asyncio
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import uvloop

from agents.joining.joiner import Joiner
from domain.errors import VigilError
from domain.events import ChunkDue, parse
from domain.identity import fragment_key
from domain.times import utc_ms
from stores.objects import ObjectStore
from streams.settings import get_settings
from streams.storage import make_object_store

if TYPE_CHECKING:
    from obstore import Bytes

Result: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
"""What was made, found out after the measurement."""
Work: TypeAlias = Callable[[ObjectStore, ChunkDue], Awaitable[Result]]


async def main() -> None:
    """Join or copy what standard input names."""
    work = _copied if "--copy" in sys.argv else _joined
    async with make_object_store(get_settings()) as store:
        async for _ in store.list("chunks/nothing/"):
            pass  # the client's connection and models are part of what is idle
        await store.put_stream("bench/idle", _nothing())  # and so is the client of large objects
        print(json.dumps({"idle_kib": _status("VmRSS")}), flush=True)
        for line in sys.stdin:
            event = parse(line.encode())
            if not isinstance(event, ChunkDue):
                raise VigilError(f"{event.type} is nothing to join.")
            print(json.dumps(await _measured(store, event, work)), flush=True)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def _measured(store: ObjectStore, due: ChunkDue, work: Work) -> dict[str, Any]:
    _forget_peak()
    began_s, began = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    made = await work(store, due)
    took_s, ended = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime
    peak_kib = _status("VmHWM")
    return {**await made(), "seconds": took_s, "cpu_s": cpu_s, "peak_kib": peak_kib}


async def _joined(store: ObjectStore, due: ChunkDue) -> Result:
    chunk = await Joiner(store, utc_ms).join(due)

    async def result() -> dict[str, Any]:
        return {
            "key": chunk.object_key,
            "sha256": chunk.sha256,
            "fragments": len(chunk.fragments),
        }

    return result


async def _copied(store: ObjectStore, due: ChunkDue) -> Result:
    """Read all fragments at once, and write them by one PUT. Nothing is checked."""
    transfer = (await store._bulk())._store
    keys = [fragment_key(due.camera, due.run, each.seq) for each in due.fragments]
    target = f"chunks/copies/{due.run}.ts"

    async def read(key: str) -> "Bytes":
        return await (await transfer.get_async(key)).bytes_async()

    data = await asyncio.gather(*(read(key) for key in keys))
    await transfer.put_async(target, iter(data), use_multipart=False)

    async def result() -> dict[str, Any]:
        sha256 = hashlib.sha256(await store.get(target)).hexdigest()
        return {"key": target, "sha256": sha256, "fragments": len(keys)}

    return result


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
