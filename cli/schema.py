"""`vigil schema`: the events as JSON Schema, or all of them as a page of the reference."""

import argparse
import json

from cli.schema_page import markdown, schema_of
from domain.errors import VigilError
from domain.events import EVENTS


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `schema [NAME]` and `schema --markdown`."""
    parser = commands.add_parser("schema", help="print the JSON Schema of an event")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("name", nargs="?", help="the event's type; without it, all names are listed")
    what.add_argument(
        "--markdown",
        action="store_true",
        help="print docs/reference/events.md, generated from all events",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the schema, the page or the names; raises VigilError for an unknown name."""
    if args.markdown:
        print(markdown(), end="")
    elif args.name is None:
        print("\n".join(EVENTS))
    elif args.name in EVENTS:
        print(json.dumps(schema_of(args.name), indent=2))
    else:
        raise VigilError(f"there is no event {args.name!r}; `vigil schema` lists all names.")
    return 0
