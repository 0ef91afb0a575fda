"""Fragment events a second through one assembler, against two others in the same run.

    assembler   the real worker: Faust, our delivery, the rule, its table and changelog
    quix        the same rule with its state in Quix Streams
    bare        an aiokafka loop that decodes the event and does nothing with it

The arms take turns, `--rounds` times; of each the best round counts, since others on the machine
only ever slow an arm down.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaProducer

from domain.errors import VigilError
from domain.events import encode
from harness.environment import own_services, say
from harness.fragment_load import Timed, fragments
from local.folder import cache_dir, project_root
from local.ports import HOST
from local.program import worker
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import FRAGMENT_ARRIVED, TOPICS

ARM_WITHIN_S = 600
LOOK_EVERY_S = 0.1
Result = tuple[float, float]
"""Events a second, microseconds of CPU an event (all threads of the arm's process)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--events", type=int, default=60_000, help="events (default 60000)")
    parser.add_argument("--cameras", type=int, default=400, help="cameras (default 400)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each program (default 2)")
    parser.add_argument("--without-quix", action="store_true", help="do not measure Quix Streams")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill the topic once and let the arms take turns."""
    each = max(1, arguments.events // arguments.cameras)
    total = each * arguments.cameras
    with own_services("stream") as (_, scratch):
        asyncio.run(_fill(arguments.cameras, each))
        return _turns(scratch, total, arguments)


async def _fill(cameras: int, each: int) -> None:
    settings = Settings()
    await ensure(TOPICS, settings=settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_brokers, linger_ms=20)
    async with producer:
        for event in fragments(cameras, each):
            await producer.send(FRAGMENT_ARRIVED.full_name, encode(event), key=event.key.encode())


def _turns(scratch: Path, total: int, arguments: argparse.Namespace) -> dict[str, Any]:
    arms: dict[str, Callable[[int], Result]] = {
        "bare": lambda _number: _bare(total),
        "assembler": lambda number: _assembler(number, total),
    }
    if not arguments.without_quix:
        python = _quix_python()
        arms["quix"] = lambda number: _quix(python, scratch, number, total)
    rates: dict[str, list[float]] = {name: [] for name in arms}
    cpu_us: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(arguments.rounds):
        for name, arm in arms.items():
            rate, us = arm(number)
            rates[name].append(rate)
            cpu_us[name].append(us)
            say(f"{name}: {rate:.0f} events/s, {us:.0f} us of CPU an event")
    best = {name: max(measured) for name, measured in rates.items()}
    least = {name: min(measured) for name, measured in cpu_us.items()}
    figures: dict[str, Any] = {"events": total, "cameras": arguments.cameras}
    figures |= {f"{name}_per_s": round(rate) for name, rate in best.items()}
    figures |= {f"{name}_cpu_us": round(us) for name, us in least.items()}
    if "quix" in best:
        figures["of_quix"] = round(best["assembler"] / best["quix"], 2)
        figures["of_quix_by_cpu"] = round(least["quix"] / least["assembler"], 2)
    figures["of_bare"] = round(best["assembler"] / best["bare"], 2)
    figures["rounds"] = {name: [round(rate) for rate in rates[name]] for name in rates}
    figures["load"] = round(os.getloadavg()[0], 1)
    return figures


def _program(*command: str, env: dict[str, str] | None = None) -> Result:
    done = subprocess.run(
        command,
        cwd=project_root(),
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=ARM_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise VigilError(f"{' '.join(command[:3])} failed:\n{done.stderr[-2_000:]}")
    rate, cpu_us = json.loads(done.stdout.splitlines()[-1])
    return float(rate), float(cpu_us)


def _bare(total: int) -> Result:
    settings = Settings()
    topic = FRAGMENT_ARRIVED.full_name
    return _program(
        sys.executable, "-m", "bench.stream_bare", settings.kafka_brokers, topic, str(total)
    )


def _quix(python: Path, scratch: Path, number: int, total: int) -> Result:
    settings = Settings()
    folder = scratch / f"quix-{number}"
    folder.mkdir()
    return _program(
        *(str(python), "-m", "bench.stream_quix", settings.kafka_brokers),
        *(FRAGMENT_ARRIVED.full_name, str(total), str(folder)),
        env={"PYTHONPATH": str(project_root())},
    )


def _quix_python() -> Path:
    """Return the Python of Quix's own environment, made once: it pins another pydantic."""
    folder = cache_dir() / "bench-quix"
    python = folder / "bin" / "python"
    wanted = project_root() / "bench" / "quix.txt"
    made = folder / "made"
    if not made.exists() or made.read_text() != wanted.read_text():
        say("installing Quix Streams into an environment of its own")
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "-q", "-r", str(wanted)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise VigilError(
                    f"Quix Streams cannot be installed: {done.stderr[-300:]} "
                    "Run with --without-quix to go without."
                )
        made.write_text(wanted.read_text())
    return python


def _assembler(number: int, total: int) -> Result:
    """Run the real worker under a group of its own; its probe says what it has done."""
    port = _free_port()
    env = {
        **os.environ,
        "VIGIL_APP_PREFIX": f"stream-{number}",
        "VIGIL_METRICS_PORT": str(port),
        "VIGIL_DATA_DIR": tempfile.mkdtemp(dir=os.environ["VIGIL_DATA_DIR"]),
        "VIGIL_TICK_MS": "60000",
    }
    log = Path(env["VIGIL_DATA_DIR"]) / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *worker("agents.assemble")],
            cwd=project_root(), env=env, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        timed = Timed(total, lambda: sum(psutil.Process(process.pid).cpu_times()[:2]))
        deadline = time.monotonic() + ARM_WITHIN_S
        while not timed.count(_done(port) - timed.done):
            if process.poll() is not None or time.monotonic() > deadline:
                raise VigilError(f"The assembler failed:\n{log.read_text()[-2_000:]}")
            time.sleep(LOOK_EVERY_S)
        return timed.result()
    finally:
        process.terminate()
        process.wait()


def _done(port: int) -> int:
    """Return how many events the worker is done with; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in lines
        if line.startswith("vigil_events_total")
    )


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])
