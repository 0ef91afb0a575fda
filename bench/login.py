"""Whether the time of a refused sign-in says if a login exists: known and unknown ones in turn.

Each attempt has a login and a network of its own, so no limit is reached. The order is random, so
both kinds see the same machine. The figure is the share of pairs in which the known login took
longer: the Mann-Whitney U statistic over all pairs. It is 0.5 where the times say nothing.
"""

import argparse
import asyncio
import math
import os
import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from domain.times import utc_ms
from harness.environment import own_services, say
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, worker
from stores.catalog import Catalog, migrate
from stores.catalog.users import create_user
from streams.settings import get_settings
from web.passwords import hash_password

_WITHIN_S = 120.0
WARM_UP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--attempts", type=int, default=400, help="of each kind (default 400)")
    parser.add_argument("--seed", type=int, default=11, help="of the order (default 11)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Create users, then try wrong passwords on their logins and on others."""
    with own_services("login") as (_, scratch):
        return asyncio.run(_measure(scratch, arguments))


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the share of pairs in which `first` is larger, ties by half, and its p-value.

    The p-value is two-sided, by the normal approximation: good from 20 values of each on.
    """
    ordered = sorted(second)
    larger = sum((bisect_left(ordered, each) + bisect_right(ordered, each)) / 2 for each in first)
    pairs = len(first) * len(second)
    deviation = math.sqrt(pairs * (len(first) + len(second) + 1) / 12)
    z = (larger - pairs / 2) / deviation
    return larger / pairs, math.erfc(abs(z) / math.sqrt(2))


async def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    dsn = get_settings().database_url.get_secret_value()
    await migrate(dsn)
    draw = random.Random(arguments.seed)
    count = arguments.attempts + WARM_UP
    known = [f"known-{number:05}@example.com" for number in range(count)]
    unknown = [f"other-{number:05}@example.com" for number in range(count)]
    password_hash = hash_password("the right one, which no one sends")
    async with Catalog(dsn, size=1) as catalog, catalog.transaction() as connection:
        for login in known:
            await create_user(
                connection,
                login=login,
                display_name=login,
                scope="acme",
                now_ms=utc_ms(),
                password_hash=password_hash,
            )
    plan = [(login, True) for login in known[WARM_UP:]]
    plan += [(login, False) for login in unknown[WARM_UP:]]
    draw.shuffle(plan)
    warm_up = [(login, False) for login in (*known[:WARM_UP], *unknown[:WARM_UP])]
    seconds = await _attempts(folder, [*warm_up, *plan])
    by_kind: dict[bool, list[float]] = {True: [], False: []}
    for (_, is_known), took in zip(plan, seconds[len(warm_up) :], strict=True):
        by_kind[is_known].append(took * 1_000)
    share, p_value = mann_whitney(by_kind[True], by_kind[False])
    return {
        "attempts_of_each": arguments.attempts,
        "known_median_ms": round(statistics.median(by_kind[True]), 2),
        "unknown_median_ms": round(statistics.median(by_kind[False]), 2),
        "known_took_longer": round(share, 3),
        "p_value": round(p_value, 4),
        "load": round(os.getloadavg()[0], 1),
    }


async def _attempts(folder: Path, plan: Sequence[tuple[str, bool]]) -> list[float]:
    """Send one wrong password for each login, one after the other; return the seconds of each."""
    data = DataFolder(folder / "processes")
    data.open(fresh=False)
    port = find_free()
    env = {
        **os.environ,
        "VIGIL_DATA_DIR": str(folder / "state"),
        "VIGIL_WEB_HOST": HOST,
        "VIGIL_WEB_PORT": str(port),
        "VIGIL_METRICS_PORT": "0",
        "VIGIL_TRUSTED_PROXIES": HOST,
        "VIGIL_ROW_SECURITY": "require",
    }
    program = Program("web", worker("web.app"), data, env)
    await asyncio.to_thread(program.launch)
    base = f"http://{HOST}:{port}"
    seconds = []
    try:
        async with aiohttp.ClientSession() as session:
            await _ready(session, f"{base}/readyz")
            for number, (login, _) in enumerate(plan):
                address = f"198.18.{number // 256}.{number % 256}"
                headers = {"X-Forwarded-For": address}
                body = {"login": login, "password": "a wrong one of the same length"}
                began = time.perf_counter()
                async with session.post(
                    f"{base}/api/v1/session", json=body, headers=headers
                ) as answer:
                    await answer.read()
                    seconds.append(time.perf_counter() - began)
                    if answer.status != 401:
                        raise RuntimeError(f"An attempt was answered {answer.status}.")
                if number % 100 == 0:
                    say(f"{number} of {len(plan)} attempts")
    finally:
        await asyncio.to_thread(program.process.stop)
    return seconds


async def _ready(session: aiohttp.ClientSession, url: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while time.monotonic() < deadline:
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{url} is not ready")
