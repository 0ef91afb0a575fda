"""`vigil model`: choose which model's detections are shown, and evaluate models."""

import argparse
import asyncio

from cli import model_evaluate
from cli.audit_origin import cli_origin, current_user
from cli.replay_options import add_cameras, select_cameras
from domain.errors import ConfigError
from domain.models import Version, check_version
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog, model_replays
from stores.catalog.detection_retention import drop_replay
from stores.catalog.model_replays import Replay
from streams.settings import get_settings
from streams.storage import admin_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `model list`, `current` and `drop`."""
    parser = commands.add_parser(
        "model", help="choose which model's detections are shown, and evaluate models"
    )
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = verbs.add_parser(
        "list", help="list replays; with --camera also the live versions seen recently"
    )
    add_cameras(listing)
    listing.set_defaults(run=run_list)
    choosing = verbs.add_parser(
        "current",
        help="show the detections of a replayed version, for the time that it covers",
        description="With --live, the edge's own detections are shown again.",
    )
    choosing.add_argument("model", nargs="?", help="the model's name")
    choosing.add_argument("version", nargs="?", help="the model's version")
    choosing.add_argument(
        "--live", action="store_true", help="show the edge's own detections again"
    )
    dropping = verbs.add_parser(
        "drop",
        help="delete the detections of a replayed version, except those under a legal hold",
    )
    dropping.add_argument("model", help="the model's name")
    dropping.add_argument("version", help="the model's version")
    model_evaluate.add(verbs)
    for each, function in ((choosing, run_current), (dropping, run_drop)):
        add_cameras(each)
        each.add_argument("--who", default=current_user(), help="who does it (default: you)")
        each.set_defaults(run=function)


def _catalog() -> Catalog:
    return admin_catalog(get_settings(), size=4)


def _who(args: argparse.Namespace) -> str:
    who: str = args.who.strip()
    if not 1 <= len(who) <= 100:
        raise ConfigError("--who has 1 to 100 characters.")
    return who


def run_list(args: argparse.Namespace) -> int:
    """List, one line each."""

    async def listing() -> None:
        async with _catalog() as catalog:
            cameras = await select_cameras(catalog, args.camera) if args.camera else []
            for each in await model_replays.recent_versions(catalog, cameras):
                print(
                    f"{each.camera:<40} {' '.join(each.version):<30} seen     "
                    f"{format_ms(each.first_ms)} to {format_ms(each.last_ms)}  "
                    f"{each.objects} objects in the last day of footage"
                )
            for replay in await model_replays.list_replays(catalog, cameras):
                print(_line(replay))

    asyncio.run(listing())
    return 0


def _line(replay: Replay) -> str:
    how = "keyframes" if replay.rate_mfps is None else f"{replay.rate_mfps / 1000:g}/s"
    return (
        f"{replay.camera:<40} {' '.join(replay.version):<30} {replay.state:<8} "
        f"{format_ms(replay.from_ms)} to {format_ms(replay.to_ms)}  "
        f"replay {replay.id}: {replay.objects} objects in {replay.pictures} pictures ({how}"
        f"{', motion' if replay.gated else ''}) of {replay.covered.length_ms / 1000:.0f} s; "
        f"by {replay.changed_by} {format_ms(replay.changed_ms)}"
    )


async def _replays(
    catalog: Catalog, args: argparse.Namespace, version: Version | None
) -> list[Replay]:
    """Return the selected replays that are not dropped. Raises ConfigError if there are none."""
    cameras = await select_cameras(catalog, args.camera) if args.camera else []
    found = [
        each
        for each in await model_replays.list_replays(catalog, cameras, version)
        if each.state != "dropped"
    ]
    if not found and version is not None:
        raise ConfigError(
            f"There is no replay of {' '.join(version)}; `vigil model list` shows all. Live "
            "detections of an edge cannot be chosen or dropped: they are shown where no replay is "
            "current."
        )
    return found


def run_current(args: argparse.Namespace) -> int:
    """Make a version current, or the live detections."""
    who = _who(args)
    if args.live:
        if args.version is not None:
            raise ConfigError("Give a model and version, or --live, not both.")
        changed = asyncio.run(_show_live(args, who))
        subject = "The edge's own detections are"
    else:
        if args.model is None or args.version is None:
            raise ConfigError("Give a model and its version, or --live.")
        version = check_version(args.model, args.version)
        changed = asyncio.run(_make_current(args, version, who))
        subject = f"{' '.join(version)} is"
    print(f"{subject} current now: {changed} replays changed.")
    return 0


async def _show_live(args: argparse.Namespace, who: str) -> int:
    async with _catalog() as catalog:
        found = await _replays(catalog, args, None)
        shown = [each for each in found if each.state == "current"]
        await model_replays.set_state(
            catalog, shown, "done", who, utc_ms(), origin=cli_origin(who=who)
        )
        return len(shown)


async def _make_current(args: argparse.Namespace, version: Version, who: str) -> int:
    async with _catalog() as catalog:
        found = await _replays(catalog, args, version)
        for each in found:
            if each.state == "running":
                raise ConfigError(f"{each} is not finished: repeat its `vigil replay detections`.")
        await model_replays.set_state(
            catalog, found, "current", who, utc_ms(), origin=cli_origin(who=who)
        )
        return len(found)


def run_drop(args: argparse.Namespace) -> int:
    """Drop a version; return 1 if a legal hold covers some of it."""
    version = check_version(args.model, args.version)
    who = _who(args)
    return asyncio.run(_drop(args, version, who))


async def _drop(args: argparse.Namespace, version: Version, who: str) -> int:
    async with _catalog() as catalog:
        found = await _replays(catalog, args, version)
        for each in found:
            if each.state == "current":
                raise ConfigError(
                    f"{each} is current: make another version current first, or use --live."
                )
        await model_replays.set_state(
            catalog, found, "dropping", who, utc_ms(), origin=cli_origin(who=who)
        )
        deleted = 0
        held = 0
        for each in found:
            count, complete = await drop_replay(catalog, each, who, utc_ms())
            deleted += count
            held += not complete
    print(f"Deleted {deleted} detections of {len(found)} replays.")
    if held:
        print(
            f"Legal holds cover some of {held} replays: drop them again when the holds are lifted."
        )
    return 1 if held else 0
