"""What cloud inference costs: the decoding of fragments, and the engine.

`--part decode`: a fragment of 1080p, by our reader and a decoder that stays open. Then by FFmpeg,
which opens it each time. CPU, in turns.

`--part engine`: the embedded engine against a bare loop of ONNX Runtime, live footage next to a
replay, and a kill.

    bare    OnnxSession.run of prepared batches, in as many threads as the engine has runners
    engine  requests of one picture each, as many in flight as keep all slots full
Both take turns; the ratio is the median of the turns. Then a replay keeps the engine busy while
live requests come every 50 ms: their wait is what is not computing, in batches. In the end the
model's process is killed while it works.
"""

import argparse
import asyncio
import io
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import psutil

from domain.errors import VigilError
from harness.detector_material import FPS, street, write_model
from harness.environment import say
from harness.figures import percentile
from inference.embedded import EmbeddedEngine
from inference.engine import InferRequest, Priority
from inference.model_files import ModelFile, model_file
from inference.model_host import HostOptions, ModelHost
from inference.model_process import ProcessOptions
from inference.session import OnnxSession
from media.fragment_decoder import FragmentDecoder
from media.frames import FragmentClock
from media.ts_video import read_video
from vision.card import ModelCard

LIVE_EVERY_S = 0.05
FRAGMENT_S = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--model",
        default=os.environ.get("VIGIL_TEST_MODEL"),
        help="a model card (default: VIGIL_TEST_MODEL, or a small model made for it)",
    )
    parser.add_argument("--part", choices=("decode", "engine"), help="only one part")
    parser.add_argument("--seconds", type=float, default=5, help="of each round (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each kind (default 3)")
    parser.add_argument(
        "--runners", type=int, default=1, help="batches at once, in both kinds (default 1)"
    )


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure and return the figures."""
    figures = []
    if arguments.part in (None, "decode"):
        figures += _decoding(arguments.rounds)
    if arguments.part in (None, "engine"):
        figures += _engine(arguments)
    return figures


def _engine(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        card = Path(arguments.model) if arguments.model else write_model(Path(folder))
        return asyncio.run(_measure(model_file(ModelCard.load(card)), arguments))


def _fragment() -> tuple[bytes, FragmentClock]:
    """Return a fragment of 1080p with a keyframe in two seconds, and its clock."""
    target = io.BytesIO()
    with av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.options = {"preset": "veryfast", "g": str(2 * FPS), "bf": "0"}
        for number, frame in enumerate(street(1920, 1080, FRAGMENT_S * FPS)):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = target.getvalue()
    start_pts = read_video(data).units[0].pts
    return data, FragmentClock(start_pts, 0, FRAGMENT_S * 1_000, FRAGMENT_S * FPS)


def _decoding(rounds: int) -> list[dict[str, Any]]:
    data, clock = _fragment()
    decoder = FragmentDecoder()
    figures = []
    for name, rate_mfps, expected in (
        ("keyframes", None, FRAGMENT_S // 2),
        ("all", FPS * 1_000, FRAGMENT_S * FPS),
    ):
        ours, theirs, reader = [], [], []
        for _ in range(max(3, rounds)):
            reader.append(_cpu_ms(lambda: len(read_video(data).units), FRAGMENT_S * FPS))
            ours.append(_cpu_ms(partial(_by_us, decoder, data, clock, rate_mfps), expected))
            theirs.append(_cpu_ms(partial(_by_ffmpeg, data, rate_mfps is None), expected))
        figures.append(
            {
                "part": f"decode {name}",
                "fragment_mbytes": round(len(data) / 1e6, 2),
                "reader_cpu_ms": round(min(reader), 1),
                "ours_cpu_ms": round(min(ours), 1),
                "ffmpeg_cpu_ms": round(min(theirs), 1),
                "of_ffmpeg": round(min(ours) / min(theirs), 3),
            }
        )
        say(f"decode {name}: {figures[-1]}")
    return figures


def _cpu_ms(work: Callable[[], int], expected: int) -> float:
    """Return the CPU milliseconds of `work`, which returns how many pictures it made."""
    began_s = time.process_time()
    found = work()
    cpu_ms = 1_000 * (time.process_time() - began_s)
    if found != expected:
        raise VigilError(f"{found} of {expected} pictures were decoded.")
    return cpu_ms


def _count(pictures: Iterable[object]) -> int:
    return sum(1 for _ in pictures)


def _by_us(
    decoder: FragmentDecoder, data: bytes, clock: FragmentClock, rate_mfps: int | None
) -> int:
    return _count(decoder.frames(data, clock, rate_mfps))


def _by_ffmpeg(data: bytes, keyframes_only: bool) -> int:
    with av.open(io.BytesIO(data), mode="r", format="mpegts") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if keyframes_only:
            stream.codec_context.skip_frame = "NONKEY"
        return _count(container.decode(stream))


async def _measure(file: ModelFile, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    session = OnnxSession(file, providers=("cpu",), fallback=False, threads=1)
    options = HostOptions(ProcessOptions(runners=arguments.runners))
    engine = EmbeddedEngine([file], options)
    await engine.load()
    try:
        host = engine.host(file.name)
        assert host.process is not None
        rows = host.process.best_rows
        say(f"{file.name}: batches of {rows}, {host.process.ms_by_rows} ms a picture by size")
        ratios, cpu_ratios, rates = [], [], []
        for number in range(arguments.rounds):
            bare = await asyncio.to_thread(
                _bare, session, rows, arguments.runners, arguments.seconds
            )
            found = await _saturate(host, session, arguments.seconds)
            ratios.append(found[0] / bare[0])
            cpu_ratios.append(bare[1] / found[1])
            rates.append((bare[0], found[0]))
            say(f"round {number + 1}: bare {bare[0]:.1f}/s, engine {found[0]:.1f}/s")
        live = await _live_next_to_replay(host, session, arguments.seconds * 2)
        back_s = await _kill(host, session)
    finally:
        await engine.close()
    return [
        {
            "part": "model",
            "model": file.name,
            "runners": arguments.runners,
            "batch": rows,
            "bare_pictures_s": round(statistics.median(rate[0] for rate in rates), 1),
            "engine_pictures_s": round(statistics.median(rate[1] for rate in rates), 1),
            "engine_of_bare": round(statistics.median(ratios), 3),
            "model_cpu_of_bare": round(statistics.median(cpu_ratios), 3),
            "target": 0.95,
        },
        {"part": "live next to a replay", **live, "target_batches_p99": 2},
        {"part": "model killed", "answers_again_s": round(back_s, 2), "target_s": 5},
    ]


def _bare(session: OnnxSession, rows: int, runners: int, seconds: float) -> tuple[float, float]:
    """Return pictures a second, and CPU seconds of a picture."""
    sample = session.sample(rows)
    counts = [0] * runners
    stop_s = time.monotonic() + seconds

    def loop(number: int) -> None:
        while time.monotonic() < stop_s:
            session.run(sample)
            counts[number] += rows

    cpu_s, started_s = time.process_time(), time.monotonic()
    threads = [threading.Thread(target=loop, args=(number,)) for number in range(runners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - started_s
    return sum(counts) / took_s, (time.process_time() - cpu_s) / sum(counts)


async def _saturate(host: ModelHost, session: OnnxSession, seconds: float) -> tuple[float, float]:
    """Return pictures a second, and CPU seconds of a picture in the model's process."""
    assert host.process is not None
    process = psutil.Process(host.process.pid)
    answered = 0

    def count() -> None:
        nonlocal answered
        answered += 1

    cpu_s, started_s = sum(process.cpu_times()[:2]), time.monotonic()
    await _replay(host, session, lambda: time.monotonic() - started_s < seconds, count)
    took_s = time.monotonic() - started_s
    return answered / took_s, (sum(process.cpu_times()[:2]) - cpu_s) / answered


async def _replay(
    host: ModelHost,
    session: OnnxSession,
    go_on: Callable[[], bool],
    on_answer: Callable[[], None] = lambda: None,
) -> None:
    """Keep every slot full and a batch waiting, with replay requests."""
    assert host.process is not None
    request = InferRequest(host.file.name, session.sample(1), priority=Priority.REPLAY)

    async def client() -> None:
        while go_on():
            await host.infer(request)
            on_answer()

    in_flight = min(96, 8 * host.process.best_rows)
    await asyncio.gather(*(client() for _ in range(in_flight)))


async def _live_next_to_replay(
    host: ModelHost, session: OnnxSession, seconds: float
) -> dict[str, Any]:
    request = InferRequest(host.file.name, session.sample(1), priority=Priority.LIVE)
    alone_s = []
    for _ in range(20):
        started_s = time.monotonic()
        await host.infer(request)
        alone_s.append(time.monotonic() - started_s)
    ended = False
    replay = asyncio.create_task(_replay(host, session, lambda: not ended))
    took_s, batch_s = [], []
    stop_s = time.monotonic() + seconds
    while time.monotonic() < stop_s:
        await asyncio.sleep(LIVE_EVERY_S)
        started_s = time.monotonic()
        await host.infer(request)
        took_s.append(time.monotonic() - started_s)
        batch_s.append(host.last_batch_s)
    ended = True
    await replay
    # What a batch takes under this very load: the unit of the target.
    one_batch_s = statistics.median(batch_s)
    waits = [max(0.0, took - one_batch_s) / one_batch_s for took in took_s]
    return {
        "alone_ms_p50": round(1_000 * percentile(alone_s, 50), 1),
        "live_ms_p50": round(1_000 * percentile(took_s, 50), 1),
        "live_ms_p99": round(1_000 * percentile(took_s, 99), 1),
        "batch_ms": round(1_000 * one_batch_s, 1),
        "wait_batches_p50": round(percentile(waits, 50), 2),
        "wait_batches_p99": round(percentile(waits, 99), 2),
        "live_pictures": len(took_s),
    }


async def _kill(host: ModelHost, session: OnnxSession) -> float:
    """Kill the model's process while it works; return how long until the next answer, seconds."""
    assert host.process is not None
    ended = False
    replay = asyncio.create_task(_replay(host, session, lambda: not ended))
    await asyncio.sleep(LIVE_EVERY_S * 10)
    os.kill(host.process.pid, signal.SIGKILL)
    started_s = time.monotonic()
    request = InferRequest(host.file.name, session.sample(1), priority=Priority.LIVE)
    await host.infer(request)
    back_s = time.monotonic() - started_s
    ended = True
    await replay  # raises where a request was lost
    return back_s
