"""`vigil catalog`: bring PostgreSQL's schema up to date, or show its version."""

import argparse
import asyncio

from stores.catalog import migrate, schema_status
from streams.settings import get_settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `catalog migrate` and `catalog status`."""
    parser = commands.add_parser("catalog", help="migrate the PostgreSQL catalog")
    verbs = parser.add_subparsers(dest="verb", required=True)
    migrating = verbs.add_parser("migrate", help="bring the schema up to date")
    migrating.set_defaults(run=run_migrate)
    showing = verbs.add_parser("status", help="show the schema's version; exits 1 if it is old")
    showing.set_defaults(run=run_status)


def run_migrate(_args: argparse.Namespace) -> int:
    """Migrate; prints the version reached."""
    status = asyncio.run(migrate(get_settings().database_url.get_secret_value()))
    print(f"The catalog's schema is at version {status.current}.")
    return 0


def run_status(_args: argparse.Namespace) -> int:
    """Show; returns 1 if there is something to migrate."""
    status = asyncio.run(schema_status(get_settings().database_url.get_secret_value()))
    if status.up_to_date:
        print(f"The catalog's schema is at version {status.current}, as needed.")
        return 0
    print(
        f"The catalog's schema is at version {status.current or 'none'}; "
        f"{status.needed} is needed: run `vigil catalog migrate`."
    )
    return 1
