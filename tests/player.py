"""What a player does with a playlist, and what ffmpeg says of video."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import aiohttp


@dataclass(frozen=True)
class PlaylistPart:
    """One segment of a playlist."""

    url: str
    first: int | None
    size: int | None
    program_time: str
    discontinuity: bool


def parts_of(text: str, base: str) -> list[PlaylistPart]:
    """Return the segments of a playlist in order."""
    parts: list[PlaylistPart] = []
    first = size = None
    time, jump = "", False
    for line in text.splitlines():
        if match := re.match(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", line):
            size, first = int(match[1]), int(match[2])
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            time = line.split(":", 1)[1]
        elif line == "#EXT-X-DISCONTINUITY":
            jump = True
        elif line and not line.startswith("#"):
            parts.append(PlaylistPart(urljoin(base, line), first, size, time, jump))
            first = size = None
            time, jump = "", False
    return parts


async def download(session: aiohttp.ClientSession, part: PlaylistPart) -> bytes:
    """Return a segment's bytes."""
    headers = {}
    if part.first is not None and part.size is not None:
        headers["Range"] = f"bytes={part.first}-{part.first + part.size - 1}"
    async with session.get(part.url, headers=headers) as answer:
        assert answer.status in (200, 206), await answer.text()
        return await answer.read()


async def complaints(path: Path) -> str:
    """Return all that ffprobe and ffmpeg warn of when they read the whole of a file."""
    output = ""
    for command in (
        ["ffprobe", "-v", "warning", "-show_packets", str(path)],
        ["ffmpeg", "-nostdin", "-v", "warning", "-i", str(path), "-f", "null", "-"],
    ):
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, stderr = await process.communicate()
        output += stderr.decode()
        assert process.returncode == 0, stderr.decode()
    return output
