"""`vigil camera windows`: how long a camera's windows are, and how long these wait."""

import argparse
import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

from agents.configuration.publish import publish, publish_all
from cli.audit_origin import cli_origin
from cli.durations import duration_ms
from domain.errors import ConfigError
from domain.identity import check_camera
from domain.times import format_ms, utc_ms
from domain.window_lengths import HOUR_MS, LEAD_MS, WindowLengths
from stores.catalog import known_cameras
from stores.catalog.camera_windows import CameraWindowSettings, camera_windows, set_camera_windows
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings
from streams.storage import admin_catalog

LONGEST_MS = HOUR_MS
LONGEST_IDLE_MS = 24 * HOUR_MS


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `camera windows`."""
    parser = verbs.add_parser(
        "windows", help="show or change the window length of a camera's chunks"
    )
    parser.add_argument("camera", nargs="?", metavar="TENANT/SITE/CAMERA", help="the camera's id")
    parser.add_argument(
        "--window",
        type=duration_ms,
        metavar="TIME",
        help="window length, which must divide an hour: 20s, 1m, 5m; it changes at the next common "
        "boundary of the old and the new length",
    )
    for name, text in (
        ("grace", "grace period: time after its end until a window with gaps is sealed"),
        ("idle", "time without fragments after which a run's windows are sealed"),
    ):
        parser.add_argument(
            f"--{name}", type=_wait, metavar="TIME", help=f"{text}; `settings`: use the default"
        )
    parser.add_argument(
        "--all", action="store_true", help="publish the settings of all cameras again"
    )
    parser.set_defaults(run=run)


def _wait(text: str) -> int | str:
    return text if text == "settings" else duration_ms(text)


def run(args: argparse.Namespace) -> int:
    """Show, change or publish again. Prints one line for each camera."""
    changes = any(each is not None for each in (args.window, args.grace, args.idle))
    if args.all and (args.camera or changes):
        raise ConfigError("--all cannot be combined with a camera or a change.")
    if not args.all and not args.camera:
        raise ConfigError(
            "Name a camera, or use --all to publish the settings of all cameras again."
        )
    _check(args)
    asyncio.run(_all() if args.all else _one(args, changes=changes))
    return 0


def _check(args: argparse.Namespace) -> None:
    window_ms, grace_ms, idle_ms = args.window, args.grace, args.idle
    if window_ms is not None and (not 2_000 <= window_ms <= LONGEST_MS or HOUR_MS % window_ms):
        raise ConfigError("--window must divide an hour and be at least 2s: 10s, 30s, 1m, 5m, 1h.")
    if isinstance(grace_ms, int) and grace_ms > LONGEST_MS:
        raise ConfigError("--grace must be at most 1h.")
    if isinstance(idle_ms, int) and not 1_000 <= idle_ms <= LONGEST_IDLE_MS:
        raise ConfigError("--idle must be 1s to 24h.")


async def _all() -> None:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(admin_catalog(settings))
        sender = await stack.enter_async_context(KafkaSender(settings))
        published = await publish_all(catalog, sender, utc_ms())
    for each in published:
        print(_line(each, settings))
    print(f"Published {len(published)} cameras. All others use the defaults of the settings.")


async def _one(args: argparse.Namespace, *, changes: bool) -> None:
    settings = get_settings()
    camera = check_camera(args.camera)
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(admin_catalog(settings))
        if camera not in await known_cameras(catalog):
            raise ConfigError(f"{camera} is not registered; `vigil camera list` shows all.")
        current = await camera_windows(catalog, camera, settings.window_ms)
        if changes:
            # Connect before the catalog changes: so a change is not stored without being published.
            sender = await stack.enter_async_context(KafkaSender(settings))
            now_ms = utc_ms()
            changed = replace(
                current,
                lengths=_lengths(current, args.window, now_ms),
                grace_ms=_changed(args.grace, current.grace_ms),
                idle_ms=_changed(args.idle, current.idle_ms),
                changed_ms=now_ms,
                published=False,
            )
            await set_camera_windows(catalog, changed, current, origin=cli_origin())
            current = await publish(catalog, sender, changed, now_ms)
    print(_line(current, settings))


def _lengths(current: CameraWindowSettings, window_ms: int | None, now_ms: int) -> WindowLengths:
    lengths = current.with_future_boundary(now_ms).lengths
    return lengths if window_ms is None else lengths.changed(window_ms, now_ms + LEAD_MS)


def _changed(option: int | str | None, current: int | None) -> int | None:
    if option is None:
        return current
    return option if isinstance(option, int) else None


def _line(windows: CameraWindowSettings, defaults: Settings) -> str:
    return f"{windows.camera}: {describe(windows, defaults)}"


def describe(windows: CameraWindowSettings, defaults: Settings) -> str:
    """Return a camera's settings: `windows of 60 s, of 30 s from …; grace 30 s, idle 60 s`."""
    now_ms = utc_ms()
    lengths = [f"windows of {_seconds(windows.lengths.at(now_ms))}"]
    lengths += [
        f"of {_seconds(length_ms)} from {format_ms(from_ms)} on"
        for from_ms, length_ms in windows.lengths.steps
        if from_ms > now_ms
    ]
    grace_ms = defaults.grace_ms if windows.grace_ms is None else windows.grace_ms
    idle_ms = defaults.idle_ms if windows.idle_ms is None else windows.idle_ms
    unpublished = windows.changed_ms is not None and not windows.published
    note = " (not published yet: use --all)" if unpublished else ""
    return f"{', '.join(lengths)}; grace {_seconds(grace_ms)}, idle {_seconds(idle_ms)}{note}"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:g} s"
