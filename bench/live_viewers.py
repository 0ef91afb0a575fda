"""Many viewers of a live picture, in a process of its own: they read, and count.

python -m bench.live_viewers URL KEY,KEY… COUNT     a line of JSON each second: sockets, bytes
"""

import asyncio
import json
import sys

import aiohttp


async def _watch(url: str, keys: list[str], count: int) -> None:
    total = [0, 0]

    async def view(session: aiohttp.ClientSession, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with session.ws_connect(url, headers=headers, max_msg_size=0) as ws:
            total[0] += 1
            try:
                async for message in ws:
                    total[1] += len(message.data)
            finally:
                total[0] -= 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(view(session, keys[at % len(keys)])) for at in range(count)]
        while not all(task.done() for task in tasks):
            print(json.dumps({"sockets": total[0], "bytes": total[1]}), flush=True)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(_watch(sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])))
