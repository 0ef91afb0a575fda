"""`vigil topics`: create and check the topics, before any worker starts; grow them."""

import argparse
import asyncio
import importlib
from functools import partial
from typing import get_args

from streams import topics
from streams.settings import get_settings
from streams.topic_acls import AclRole, acls_of, allow
from streams.topic_admin import admin, describe, drift_of, ensure
from streams.topic_growth import grow
from streams.topics import TopicSpec

WORKERS = ("agents.assemble", "agents.heal", "agents.join", "agents.index")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `topics ensure`, `topics list`, `topics grow` and `topics acls`."""
    parser = commands.add_parser("topics", help="create and check the Kafka topics")
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("ensure", help="create missing topics, correct changed ones")
    making.add_argument(
        "--wait-s", type=float, default=60.0, help="how long to wait for a broker (default 60)"
    )
    making.set_defaults(run=run_ensure)
    showing = verbs.add_parser("list", help="show each topic, and what is wrong with it")
    showing.set_defaults(run=run_list)
    growing = verbs.add_parser(
        "grow", help="give all topics more partitions; all workers are stopped when it asks for it"
    )
    growing.add_argument(
        "--partitions", type=int, required=True, help="how many; a multiple of today's number"
    )
    growing.add_argument(
        "--wait-s", type=float, default=60.0,
        help="how long to wait, once all is prepared, until all workers have stopped (default 60)",
    )  # fmt: skip
    growing.set_defaults(run=run_grow)
    rights = verbs.add_parser(
        "acls", help="show what a program's Kafka user may do, or allow it on the broker"
    )
    rights.add_argument("role", choices=get_args(AclRole), help="which program uses the user")
    rights.add_argument("--allow", metavar="USER", help="add these ACLs for USER")
    rights.set_defaults(run=run_acls)


def all_topics() -> list[TopicSpec]:
    """Return the event topics and the changelogs of all workers' tables."""
    specs = list(topics.TOPICS)
    for module in WORKERS:
        app = importlib.import_module(module).app
        specs += [spec for spec in app.needed_topics() if spec not in specs]
    return specs


def run_ensure(args: argparse.Namespace) -> int:
    """Create and correct; prints one line for each topic."""
    for change in asyncio.run(ensure(all_topics(), within_s=args.wait_s)):
        changes = ", ".join(
            f"{name} {found} -> {now}" for name, (found, now) in change.drift.items()
        )
        print(f"{change.did:<10} {change.name}" + (f"  ({changes})" if changes else ""))
    return 0


def run_grow(args: argparse.Namespace) -> int:
    """Grow; prints what it waits for and what it did."""
    settings = get_settings()
    groups = [f"{settings.app_prefix}-{module.rpartition('.')[2]}" for module in WORKERS]
    done = asyncio.run(
        grow(
            all_topics(), groups, args.partitions,
            settings=settings, within_s=args.wait_s, report=partial(print, flush=True),
        )
    )  # fmt: skip
    if done.topics:
        print(f"{done.topics} topics have {args.partitions} partitions; {done.moved} entries moved")
    else:
        print(f"all topics have {args.partitions} partitions")
    print(f"Start all workers with VIGIL_PARTITIONS={args.partitions}.")
    return 0


def run_list(_args: argparse.Namespace) -> int:
    """Show; returns 1 if a topic is missing or differs."""
    return asyncio.run(_list())


async def _list() -> int:
    settings = get_settings()
    specs = all_topics()
    faults = 0
    async with admin(settings, 10.0) as client:
        states = await describe(client, [spec.full_name for spec in specs])
    for spec in specs:
        state = states.get(spec.full_name)
        if state is None:
            verdict = "missing"
        elif state.partitions != settings.partitions:
            verdict = f"{state.partitions} partitions instead of {settings.partitions}"
        elif drift := drift_of(state, spec.config(settings)):
            verdict = ", ".join(f"{name} is {found}" for name, (found, _) in drift.items())
        else:
            verdict = "fine"
        faults += verdict != "fine"
        kept = spec.config(settings).get("retention.ms", "newest of each key")
        print(f"{spec.full_name:<45} key: {spec.key:<52} kept: {kept:<20} {verdict}")
    return 1 if faults else 0


def run_acls(args: argparse.Namespace) -> int:
    """Show, or allow; one line for each ACL."""
    settings = get_settings()
    acls = acls_of(args.role, settings)
    if args.allow:
        asyncio.run(allow(args.allow, acls, settings))
    for acl in acls:
        print(acl)
    return 0
