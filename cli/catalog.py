"""`vigil catalog`: bring PostgreSQL's schema and roles up to date, or show their state."""

import argparse
import asyncio

from cli import catalog_restored
from stores.catalog import Catalog, SchemaStatus, migrate, schema_status
from stores.catalog.row_security import missing_roles, needed_roles, rows_are_checked
from streams.settings import get_settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `catalog migrate`, `status`, `roles` and `restored`."""
    parser = commands.add_parser("catalog", help="migrate the PostgreSQL catalog")
    verbs = parser.add_subparsers(dest="verb", required=True)
    migrating = verbs.add_parser("migrate", help="bring the schema up to date")
    migrating.set_defaults(run=run_migrate)
    showing = verbs.add_parser("status", help="show the schema's version; exits 1 if it is old")
    showing.set_defaults(run=run_status)
    roles = verbs.add_parser(
        "roles", help="print the SQL that creates the roles, for PostgreSQL's administrator"
    )
    roles.set_defaults(run=run_roles)
    catalog_restored.add(verbs)


def run_migrate(_args: argparse.Namespace) -> int:
    """Migrate; prints the version reached."""
    status = asyncio.run(migrate(get_settings().database_url.get_secret_value()))
    if status.is_newer:
        print(_newer(status))
        return 0
    print(f"The catalog's schema is at version {status.current}.")
    _print_row_security()
    return 0


def run_status(_args: argparse.Namespace) -> int:
    """Show; returns 1 if there is something to migrate."""
    status = asyncio.run(schema_status(get_settings().database_url.get_secret_value()))
    if status.up_to_date:
        print(f"The catalog's schema is at version {status.current}, as needed.")
        _print_row_security()
        return 0
    if status.is_newer:
        print(_newer(status))
        return 0
    print(
        f"The catalog's schema is at version {status.current or 'none'}; "
        f"{status.needed} is needed: run `vigil catalog migrate`."
    )
    return 1


def run_roles(_args: argparse.Namespace) -> int:
    """Print the script that an administrator of PostgreSQL runs."""

    async def asked() -> str:
        async with _catalog() as catalog:
            return await needed_roles(catalog)

    print(asyncio.run(asked()))
    return 0


def _newer(status: SchemaStatus) -> str:
    return (
        f"The catalog's schema is at version {status.current}, newer than the {status.needed} of "
        "this program. It stays so: the programs of one version before work with it."
    )


def _catalog() -> Catalog:
    return Catalog(get_settings().database_url.get_secret_value(), size=1)


def _print_row_security() -> None:
    async def asked() -> tuple[bool, list[str]]:
        async with _catalog() as catalog:
            return await rows_are_checked(catalog), await missing_roles(catalog)

    is_checked, missing = asyncio.run(asked())
    if not is_checked:
        print(
            "PostgreSQL does not check the tenants of requests: this user may not create roles. "
            "Let its administrator run the output of `vigil catalog roles`, then run `vigil "
            "catalog migrate` again."
        )
        return
    print("PostgreSQL checks the tenants of each request.")
    if missing:
        print(
            f"This user may not become {', '.join(missing)}: workers and commands have its rights. "
            "Let PostgreSQL's administrator run the last line of `vigil catalog roles`."
        )
