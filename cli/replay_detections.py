"""`vigil replay detections`: run a detector again over recorded footage."""

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict

from agents.replay.detections import DetectionReplay, DetectionReplayResult
from agents.replay.progress import ProgressDisplay
from cli.replay_options import add_cameras, add_span, chosen, span_ms
from cli.retention import current_user
from domain.errors import ConfigError
from domain.models import check_version, whole_minutes
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog import model_replays as book
from stores.catalog.model_replays import ModelReplaySpec
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.storage import make_object_store
from vision.detector import Detector
from vision.loader import HOG, load_detector

KEYFRAMES = "keyframes"
MOST_FPS = 60.0


def add(whats: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay detections`."""
    parser = whats.add_parser(
        "detections",
        help="run a detector again over recorded footage, as a version of its own",
        description="What it finds stands beside what was found before and is shown once "
        "`vigil model current` says so. Exit status 1: not all could be looked at.",
    )
    parser.add_argument(
        "--model", default=HOG, help="hog (built-in), a model card, or an ONNX file with its card"
    )
    parser.add_argument(
        "--version", help="version under which it stands (default: the model's own)"
    )
    add_span(parser, required=True)
    add_cameras(parser)
    parser.add_argument(
        "--rate",
        type=_rate,
        default=None,
        metavar="N",
        help="pictures a second, or keyframes (the default): these alone, which is cheapest",
    )
    parser.add_argument(
        "--motion", action="store_true", help="only pictures with motion, else one in 5 s"
    )
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="NAME",
        help="execution provider that must compute: cuda, tensorrt, cpu (default; repeatable)",
    )
    parser.add_argument("--fallback", action="store_true", help="the next best provider will do")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model (default 1)")
    parser.add_argument("--who", default=current_user(), help="who does it (default: you)")
    parser.set_defaults(run=run)


def _rate(text: str) -> int | None:
    """Return pictures in 1000 s, None for keyframes; for argparse, whose error it raises."""
    if text == KEYFRAMES:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= MOST_FPS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no rate: write pictures a second, 0.001 to {MOST_FPS:g}, or {KEYFRAMES}"
        )
    return round(rate * 1000)


def run(args: argparse.Namespace) -> int:
    """Look again; a JSON line tells what was done."""
    from_ms, to_ms = span_ms(args)
    if to_ms > utc_ms():
        raise ConfigError("--to lies in the future: only recorded footage can be looked at again.")
    if not 1 <= args.threads <= 64:
        raise ConfigError("--threads must be 1 to 64.")
    if not 1 <= len(args.who.strip()) <= 100:
        raise ConfigError("--who has 1 to 100 characters.")
    providers = args.provider or ["cpu"]
    detector = load_detector(
        args.model, providers=providers, fallback=args.fallback, threads=args.threads
    )
    version = check_version(detector.model, args.version or detector.model_version)
    look = ModelReplaySpec(version, *whole_minutes(from_ms, to_ms), args.rate, args.motion)
    result = asyncio.run(_replay(args, look, detector))
    print(json.dumps({"model": version[0], "version": version[1], "provider": detector.provider}
                     | asdict(result)))  # fmt: skip
    return 1 if _remarks(result) else 0


async def _replay(
    args: argparse.Namespace, look: ModelReplaySpec, detector: Detector
) -> DetectionReplayResult:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(Catalog(settings.database_url.get_secret_value()))
        cameras = await chosen(catalog, args.camera)
        if not args.camera:
            cameras = [each for each in cameras if await _filmed(catalog, each, look)]
        if not cameras:
            raise ConfigError("No camera has chunks of that time.")
        sender = await stack.enter_async_context(KafkaSender(settings))
        who = args.who.strip()
        replays = await book.begin(catalog, cameras, look, who, utc_ms())
        with ProgressDisplay("detections", "chunks") as progress:
            replayer = DetectionReplay(
                store, catalog, sender, detector, progress, who=who, clock_ms=utc_ms
            )
            await replayer.run(replays)
        await replayer.wait_for_index(replays)
        return replayer.result


async def _filmed(catalog: Catalog, camera: str, look: ModelReplaySpec) -> bool:
    return (await book.workload(catalog, camera, look.from_ms, look.to_ms)).chunks > 0


def _remarks(result: DetectionReplayResult) -> bool:
    """Say what is not as it should be; return whether anything is."""
    if result.loose:
        print(
            f"{result.loose} fragments are in no chunk yet and were not looked at: repeat the "
            "command once they are.",
            file=sys.stderr,
        )
    if result.faults:
        print(
            f"{result.faults} chunks could not be looked at whole; there the detections of before "
            "stay current. See `vigil fsck`, then repeat the command.",
            file=sys.stderr,
        )
    if result.waiting:
        print(
            f"{result.waiting} objects are on their way into the catalog: is the index worker "
            "running (faust -A agents.index worker)?",
            file=sys.stderr,
        )
    return bool(result.faults or result.waiting)
