"""`vigil cost`: what an installation costs a month on AWS, by list prices."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import yaml

from cli.durations import duration_ms
from domain.cost.bill import PURPOSES, Bill, bill
from domain.cost.levers import levers
from domain.cost.prices import NOTE, REGIONS, SOURCES, WRITTEN, prices_of
from domain.cost.workload import PLATFORMS, StorageClass, Uplink, Workload
from domain.errors import ConfigError
from streams.cost_settings import with_settings
from streams.settings import Settings, get_settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `cost`."""
    usual = Workload()
    parser = commands.add_parser(
        "cost",
        help="what an installation costs a month on AWS",
        description="What an installation costs a month on AWS: rates of this version's settings "
        f"times list prices of {WRITTEN}. It reads no bill and asks no server.",
    )
    parser.add_argument("--sites", type=int, help=f"how many sites (default {usual.sites})")
    parser.add_argument(
        "--cameras", type=int, metavar="N", help=f"of each site (default {usual.cameras_per_site})"
    )
    parser.add_argument(
        "--sites-dir", type=Path, metavar="DIR",
        help="take sites, cameras and Mbit/s from the files of sites, such as ops/sites/production",
    )  # fmt: skip
    parser.add_argument(
        "--mbit-s", type=float, metavar="RATE",
        help=f"of one camera (default {usual.mbit_s:g})",
    )  # fmt: skip
    parser.add_argument(
        "--days", type=int, default=usual.retention_days, metavar="N",
        help=f"how long footage is kept (default {usual.retention_days})",
    )  # fmt: skip
    parser.add_argument(
        "--uploaded-share", type=float, default=1.0, metavar="SHARE",
        help="of the time that is uploaded, 0.2 for events alone (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--uplink", choices=get_args(Uplink), default="vpn", help="how footage reaches S3"
    )
    parser.add_argument(
        "--fragment-s", type=float, default=usual.fragment_s, metavar="S",
        help=f"as in the device's configuration (default {usual.fragment_s:g})",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=duration_ms, metavar="TIME", help="window length (default: the setting)"
    )
    parser.add_argument(
        "--runs-per-day", type=float, default=usual.runs_per_day, metavar="N",
        help="how often a camera's recording starts again (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--detections-per-hour", type=float, default=usual.detections_per_hour, metavar="N",
        help=f"batches of a camera (default {usual.detections_per_hour:g})",
    )  # fmt: skip
    parser.add_argument(
        "--watched-hours", type=float, default=usual.watched_hours, metavar="N",
        help=f"of a camera in a month, over the internet (default {usual.watched_hours:g})",
    )  # fmt: skip
    parser.add_argument(
        "--cold-class", choices=get_args(StorageClass), default="standard",
        help="S3's class for older footage",
    )  # fmt: skip
    parser.add_argument(
        "--cold-after-days", type=int, default=usual.cold_after_days, metavar="N",
        help=f"from this age on (default {usual.cold_after_days})",
    )  # fmt: skip
    parser.add_argument(
        "--environment", choices=sorted(PLATFORMS), default="production",
        help="sizes of databases and brokers, as in terraform/environments",
    )  # fmt: skip
    parser.add_argument("--region", default="us-east-1", help=f"{', '.join(sorted(REGIONS))}")
    parser.add_argument("--lines", action="store_true", help="show every line, not only services")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the bill."""
    made = bill(workload_of(args, get_settings()), prices_of(args.region))
    print(json.dumps(as_json(made), indent=2) if args.json else as_text(made, lines=args.lines))
    return 0


def workload_of(args: argparse.Namespace, settings: Settings) -> Workload:
    """Return what the options and the settings say. Raises ConfigError."""
    sites, cameras, mbit_s = args.sites, args.cameras, args.mbit_s
    if args.sites_dir is not None:
        if (sites, cameras, mbit_s) != (None, None, None):
            raise ConfigError("Give either --sites-dir, or --sites, --cameras and --mbit-s.")
        sites, cameras, mbit_s = _count_sites(args.sites_dir)
    usual = with_settings(Workload(), settings)
    rules = usual.rules
    return replace(
        usual,
        sites=usual.sites if sites is None else sites,
        cameras_per_site=usual.cameras_per_site if cameras is None else cameras,
        mbit_s=usual.mbit_s if mbit_s is None else mbit_s,
        retention_days=args.days,
        uploaded_share=args.uploaded_share,
        uplink=args.uplink,
        fragment_s=args.fragment_s,
        rules=rules if args.window is None else replace(rules, window_ms=args.window),
        runs_per_day=args.runs_per_day,
        detections_per_hour=args.detections_per_hour,
        watched_hours=args.watched_hours,
        cold_class=args.cold_class,
        cold_after_days=args.cold_after_days,
        platform=PLATFORMS[args.environment],
    )


def _count_sites(folder: Path) -> tuple[int, float, float]:
    """Return how many sites a folder has, their cameras on average, and Mbit/s."""
    counts, rates = [], []
    for path in sorted(folder.glob("*.yaml")):
        try:
            cameras = yaml.safe_load(path.read_text())["cameras"]
            counts.append(int(cameras["count"]))
            rates.append(float(cameras["mbit_s"]) * counts[-1])
        except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
            raise ConfigError(
                f"{path} cannot be read as the file of a site: {error}. `vigil site check` says "
                "what is wrong."
            ) from error
    if not sum(counts):
        raise ConfigError(f"{folder} has no file of a site with cameras.")
    return len(counts), sum(counts) / len(counts), sum(rates) / sum(counts)


def as_json(made: Bill) -> dict[str, Any]:
    """Return a bill as JSON."""
    workload = made.workload
    return {
        "usd": round(made.usd, 2),
        "cameras": workload.cameras,
        "sites": workload.sites,
        "region": made.prices.region,
        "prices_written": WRITTEN,
        "note": NOTE,
        "sources": SOURCES,
        "fixed_usd": round(made.by_scale("installation"), 2),
        "variable_usd": round(made.usd - made.by_scale("installation"), 2),
        "per_site_usd": round(made.per_site, 2),
        "per_camera_usd": round(made.per_camera, 2),
        "by_purpose_usd": {name: round(made.by_purpose(name), 2) for name in PURPOSES},
        "added_share": round(made.added_share, 4),
        "kinesis_video_usd": round(made.kinesis_video_usd, 2),
        "by_service_usd": {name: round(usd, 2) for name, usd in made.services().items()},
        "lines": [
            {
                "service": line.service, "what": line.what, "scale": line.scale,
                "purpose": line.purpose, "amount": round(line.amount, 3), "unit": line.unit,
                "usd": round(line.usd, 2),
            }
            for line in made.lines
        ],
        "levers": [
            {
                "name": each.name, "change": each.change, "effect": each.effect,
                "available": each.available, "saves_usd": round(each.saves_usd, 2),
                "saves_share": round(each.saves_share, 4),
            }
            for each in levers(made)
        ],
    }  # fmt: skip


def as_text(made: Bill, *, lines: bool = False) -> str:
    """Return a bill as a page of text."""
    workload = made.workload
    out = [
        f"{workload.sites:,} sites, {workload.cameras:,} cameras of {workload.mbit_s:g} Mbit/s, "
        f"{workload.retention_days} days, {workload.uploaded_share:.0%} uploaded by "
        f"{workload.uplink}, {made.prices.region}",
        NOTE,
        "",
        f"{'a month':<44}{'USD':>12}{'share':>8}",
    ]
    if lines:
        out += [_row(f"{line.service}: {line.what}", line.usd, made.usd) for line in made.lines]
    else:
        out += [_row(name, usd, made.usd) for name, usd in made.services().items()]
    fixed = made.by_scale("installation")
    out += [
        _row("all", made.usd, made.usd),
        "",
        _row("fixed: without any site", fixed, made.usd),
        _row("variable: sites", made.by_scale("site"), made.usd),
        _row("variable: cameras", made.by_scale("camera"), made.usd),
        f"{'one more site':<44}{made.per_site:>12,.2f}",
        f"{'one more camera':<44}{made.per_camera:>12,.2f}",
        "",
        *(_row(text, made.by_purpose(name), made.usd) for name, text in PURPOSES.items()),
        "",
        f"{'Kinesis Video Streams, same footage':<44}{made.kinesis_video_usd:>12,.2f}",
        f"{'Vigil without transport and sites':<44}"
        f"{made.by_purpose('storage') + made.by_purpose('added'):>12,.2f}",
        "",
        f"{'what would save':<44}{'USD':>12}{'share':>8}  (they do not add up)",
    ]
    for each in levers(made):
        mark = "" if each.available else "  [not by a setting]"
        out.append(_row(each.name, each.saves_usd, made.usd) + mark)
        out.append(f"    {each.change}. {each.effect}")
    return "\n".join(out)


def _row(name: str, usd: float, whole: float) -> str:
    return f"{name[:43]:<44}{usd:>12,.2f}{usd / whole:>8.1%}"
