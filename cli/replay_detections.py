"""`vigil replay detections`: run a detector again over recorded footage."""

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict

from agents.replay.detections import DetectionReplay, DetectionReplayResult
from agents.replay.progress import ProgressDisplay
from cli.audit_origin import current_user
from cli.audited_act import audited_act
from cli.replay_options import add_cameras, add_span, select_cameras, span_ms
from domain.errors import ConfigError
from domain.models import check_version, whole_minutes
from domain.times import utc_ms
from stores.catalog import Catalog, model_replays
from stores.catalog.model_replays import ModelReplaySpec
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.storage import make_object_store, worker_catalog
from vision.detector import Detector
from vision.loader import HOG, load_detector

KEYFRAMES = "keyframes"
MAX_FPS = 60.0


def add(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay detections`."""
    parser = subcommands.add_parser(
        "detections",
        help="run a detector again over recorded footage, as a separate version",
        description="The new detections are stored next to the old ones. `vigil model current` "
        "shows them. Exit status 1: not everything could be analysed.",
    )
    parser.add_argument(
        "--model", default=HOG, help="hog (built-in), a model card, or an ONNX file with its card"
    )
    parser.add_argument("--version", help="the version to store (default: the model's own)")
    add_span(parser, required=True)
    add_cameras(parser)
    parser.add_argument(
        "--rate",
        type=_rate,
        default=None,
        metavar="N",
        help="pictures per second, or keyframes (the default), which costs least",
    )
    parser.add_argument(
        "--motion", action="store_true", help="only pictures with motion, and one every 5 s"
    )
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="NAME",
        help="execution provider to use: cuda, tensorrt, cpu (the default); repeatable",
    )
    parser.add_argument(
        "--fallback", action="store_true", help="use the next provider if this one is not available"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the model (default 1)")
    parser.add_argument("--who", default=current_user(), help="who does it (default: you)")
    parser.set_defaults(run=run)


def _rate(text: str) -> int | None:
    """Return pictures in 1000 s, or None for keyframes. Raises argparse's error."""
    if text == KEYFRAMES:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= MAX_FPS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a rate: use pictures per second, 0.001 to {MAX_FPS:g}, or {KEYFRAMES}"
        )
    return round(rate * 1000)


def run(args: argparse.Namespace) -> int:
    """Analyse again; print a JSON line with the result."""
    from_ms, to_ms = span_ms(args)
    if to_ms > utc_ms():
        raise ConfigError("--to is in the future: only recorded footage can be analysed again.")
    if not 1 <= args.threads <= 64:
        raise ConfigError("--threads must be 1 to 64.")
    if not 1 <= len(args.who.strip()) <= 100:
        raise ConfigError("--who must have 1 to 100 characters.")
    providers = args.provider or ["cpu"]
    detector = load_detector(
        args.model, providers=providers, fallback=args.fallback, threads=args.threads
    )
    version = check_version(detector.model, args.version or detector.model_version)
    look = ModelReplaySpec(version, *whole_minutes(from_ms, to_ms), args.rate, args.motion)
    result = asyncio.run(_replay(args, look, detector))
    print(json.dumps({"model": version[0], "version": version[1], "provider": detector.provider}
                     | asdict(result)))  # fmt: skip
    return 1 if _print_warnings(result) else 0


async def _replay(
    args: argparse.Namespace, look: ModelReplaySpec, detector: Detector
) -> DetectionReplayResult:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(worker_catalog(settings))
        cameras = await select_cameras(catalog, args.camera)
        if not args.camera:
            cameras = [each for each in cameras if await _has_chunks(catalog, each, look)]
        if not cameras:
            raise ConfigError("No camera has chunks of that time.")
        sender = await stack.enter_async_context(KafkaSender(settings))
        who = args.who.strip()
        details = {"model": look.version, "from_ms": look.from_ms, "to_ms": look.to_ms}
        results = await stack.enter_async_context(
            audited_act(catalog, "replay:detections", cameras, details)
        )
        replays = await model_replays.begin(catalog, cameras, look, who, utc_ms())
        with ProgressDisplay("detections", "chunks") as progress:
            replayer = DetectionReplay(
                store, catalog, sender, detector, progress, who=who, clock_ms=utc_ms
            )
            await replayer.run(replays)
        await replayer.wait_for_index(replays)
        results.update(asdict(replayer.result))
        return replayer.result


async def _has_chunks(catalog: Catalog, camera: str, look: ModelReplaySpec) -> bool:
    return (await model_replays.workload(catalog, camera, look.from_ms, look.to_ms)).chunks > 0


def _print_warnings(result: DetectionReplayResult) -> bool:
    """Print warnings; return whether something failed or is missing."""
    if result.loose:
        print(
            f"{result.loose} fragments are in no chunk yet and were not analysed: repeat the "
            "command when they are.",
            file=sys.stderr,
        )
    if result.faults:
        print(
            f"{result.faults} chunks could not be analysed completely; their earlier detections "
            "stay current. Run `vigil fsck`, then repeat the command.",
            file=sys.stderr,
        )
    if result.waiting:
        print(
            f"{result.waiting} objects are not in the catalog yet: check that the index worker "
            "runs (faust -A agents.index worker).",
            file=sys.stderr,
        )
    return bool(result.faults or result.waiting)
