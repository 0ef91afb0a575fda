"""Requests over a few kept connections, as fast as they are answered, with little work of its own.

The client of aiohttp would take as long for a request as the server that is measured.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class LoadResult:
    """Seconds of each answer, and how many had another status than 200."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0

    def percentile_ms(self, share: float) -> float:
        """Return the time that `share` of the answers took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000


async def load(
    host: str,
    port: int,
    paths: list[str],
    key: str,
    *,
    connections: int,
    seconds: float,
    pause_s: float = 0.0,
) -> LoadResult:
    """Send GET requests for `seconds`, the paths in turn on each connection."""
    result = LoadResult()
    until = time.perf_counter() + seconds
    heads = [
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        for path in paths
    ]

    async def client(first: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        at = first
        try:
            while (began := time.perf_counter()) < until:
                writer.write(heads[at % len(heads)])
                at += 1
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                if length is None:
                    raise RuntimeError(f"An answer without a length: {head[:200]!r}")
                await reader.readexactly(int(length[1]))
                if head[9:12] == b"200":
                    result.seconds.append(time.perf_counter() - began)
                else:
                    result.refused += 1
                if pause_s:
                    await asyncio.sleep(pause_s)
        finally:
            writer.close()

    await asyncio.gather(*(client(number) for number in range(connections)))
    return result
