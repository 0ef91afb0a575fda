"""Options that all sub-commands of `vigil replay` share."""

import argparse
from collections.abc import Sequence

from domain.errors import ConfigError
from domain.identity import check_camera
from domain.times import parse_ms
from stores.catalog import Catalog, known_cameras


def add_cameras(parser: argparse.ArgumentParser) -> None:
    """Add `--camera`, repeatable."""
    parser.add_argument(
        "--camera", action="append", default=[], metavar="ID", help="only this camera (repeatable)"
    )


def add_span(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add `--from` and `--to`, RFC 3339."""
    parser.add_argument(
        "--from",
        dest="from_",
        metavar="T",
        required=required,
        help="footage at T or later (RFC 3339)",
    )
    parser.add_argument("--to", metavar="T", required=required, help="footage before T (RFC 3339)")


def span_ms(args: argparse.Namespace) -> tuple[int, int]:
    """Return --from and --to in UTC ms. Raises ConfigError if --from is not before --to."""
    from_ms = parse_ms(args.from_) if args.from_ else 0
    to_ms = parse_ms(args.to) if args.to else 1 << 47
    if from_ms >= to_ms:
        raise ConfigError("--from must be before --to.")
    return from_ms, to_ms


def check_cameras(cameras: Sequence[str]) -> frozenset[str]:
    """Return the cameras of the options. Raises InvalidIdError if one is not a camera id."""
    return frozenset(check_camera(camera) for camera in cameras)


async def select_cameras(catalog: Catalog, cameras: Sequence[str]) -> list[str]:
    """Return these cameras, or all registered ones, sorted. Raises ConfigError if one is not."""
    known = await known_cameras(catalog)
    for camera in cameras:
        if check_camera(camera) not in known:
            raise ConfigError(f"{camera} is not registered; `vigil camera list` shows all.")
    return sorted(set(cameras) or known)
