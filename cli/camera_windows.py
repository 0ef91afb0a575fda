"""`vigil camera windows`: how long a camera's windows are, and how long these wait."""

import argparse
import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

from agents.configuration.publish import publish, publish_all
from cli.durations import duration_ms
from domain.errors import ConfigError
from domain.identity import check_camera
from domain.times import format_ms, utc_ms
from domain.window_lengths import HOUR_MS, LEAD_MS, WindowLengths
from stores.catalog import Catalog, known_cameras
from stores.catalog.camera_windows import CameraWindows, camera_windows, set_camera_windows
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings

LONGEST_MS = HOUR_MS
LONGEST_IDLE_MS = 24 * HOUR_MS


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `camera windows`."""
    parser = verbs.add_parser(
        "windows", help="show or change how a camera's footage is cut into chunks"
    )
    parser.add_argument("camera", nargs="?", metavar="TENANT/SITE/CAMERA", help="which one")
    parser.add_argument(
        "--window",
        type=duration_ms,
        metavar="TIME",
        help="length of its windows, which must divide an hour: 20s, 1m, 5m; counts from the next "
        "border of the old and the new length on",
    )
    for name, says in (
        ("grace", "how far its footage must go on before a window with holes is closed"),
        ("idle", "silence of a run that closes its windows"),
    ):
        parser.add_argument(
            f"--{name}", type=_wait, metavar="TIME", help=f"{says}; `settings`: as these say"
        )
    parser.add_argument("--all", action="store_true", help="tell the stream of all cameras again")
    parser.set_defaults(run=run)


def _wait(text: str) -> int | str:
    return text if text == "settings" else duration_ms(text)


def run(args: argparse.Namespace) -> int:
    """Show, change or tell again; prints one line for each camera."""
    changes = any(each is not None for each in (args.window, args.grace, args.idle))
    if args.all and (args.camera or changes):
        raise ConfigError("--all changes nothing: it stands alone.")
    if not args.all and not args.camera:
        raise ConfigError("Name a camera, or --all to tell the stream of all of them again.")
    _check(args)
    asyncio.run(_all() if args.all else _one(args, changes=changes))
    return 0


def _check(args: argparse.Namespace) -> None:
    window_ms, grace_ms, idle_ms = args.window, args.grace, args.idle
    if window_ms is not None and (not 2_000 <= window_ms <= LONGEST_MS or HOUR_MS % window_ms):
        raise ConfigError("--window must divide an hour and be 2s at least: 10s, 30s, 1m, 5m, 1h.")
    if isinstance(grace_ms, int) and grace_ms > LONGEST_MS:
        raise ConfigError("--grace must be 1h at most.")
    if isinstance(idle_ms, int) and not 1_000 <= idle_ms <= LONGEST_IDLE_MS:
        raise ConfigError("--idle must be 1s to 24h.")


async def _all() -> None:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog(_dsn(settings), size=1))
        sender = await stack.enter_async_context(KafkaSender(settings))
        told = await publish_all(catalog, sender, utc_ms())
    for each in told:
        print(_line(each, settings))
    print(f"The stream was told of {len(told)} cameras; all others go by the settings.")


async def _one(args: argparse.Namespace, *, changes: bool) -> None:
    of, camera = get_settings(), check_camera(args.camera)
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog(_dsn(of), size=1))
        if camera not in await known_cameras(catalog):
            raise ConfigError(f"{camera} is not registered; `vigil camera list` shows all.")
        stands = await camera_windows(catalog, camera, of.window_ms)
        if changes:
            sender = await stack.enter_async_context(
                KafkaSender(of)
            )  # first: nothing is kept untold
            now_ms = utc_ms()
            decided = replace(
                stands,
                lengths=_lengths(stands, args.window, now_ms),
                grace_ms=_of(args.grace, stands.grace_ms),
                idle_ms=_of(args.idle, stands.idle_ms),
                changed_ms=now_ms,
                published=False,
            )
            await set_camera_windows(catalog, decided, stands)
            stands = await publish(catalog, sender, decided, now_ms)
    print(_line(stands, of))


def _lengths(stands: CameraWindows, window_ms: int | None, now_ms: int) -> WindowLengths:
    lengths = stands.with_future_boundary(now_ms).lengths
    return lengths if window_ms is None else lengths.changed(window_ms, now_ms + LEAD_MS)


def _of(said: int | str | None, stands: int | None) -> int | None:
    if said is None:
        return stands
    return said if isinstance(said, int) else None


def _line(of: CameraWindows, defaults: Settings) -> str:
    return f"{of.camera}: {in_words(of, defaults)}"


def in_words(of: CameraWindows, defaults: Settings) -> str:
    """Return what counts for a camera: `windows of 60 s, of 30 s from …; grace 30 s, idle 60 s`."""
    now_ms = utc_ms()
    said = [f"windows of {_seconds(of.lengths.at(now_ms))}"]
    said += [
        f"of {_seconds(length_ms)} from {format_ms(from_ms)} on"
        for from_ms, length_ms in of.lengths.steps
        if from_ms > now_ms
    ]
    grace_ms = defaults.grace_ms if of.grace_ms is None else of.grace_ms
    idle_ms = defaults.idle_ms if of.idle_ms is None else of.idle_ms
    untold = "" if of.published or of.changed_ms is None else " (the stream is told by --all)"
    return f"{', '.join(said)}; grace {_seconds(grace_ms)}, idle {_seconds(idle_ms)}{untold}"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:g} s"


def _dsn(settings: Settings) -> str:
    return settings.database_url.get_secret_value()
