"""`vigil user erase`: delete a user and his personal data."""

import argparse
import asyncio
import json
from typing import Any

from cli.audit_origin import cli_origin
from domain.access import INSTALLATION
from domain.errors import ConfigError
from domain.times import utc_ms
from stores.catalog.erasure import ErasedUser, erase_user
from stores.erasure_ledger import ErasureLedger, RecordedErasure
from streams.settings import get_settings
from streams.storage import admin_catalog, make_object_store


def add(verbs: Any) -> None:
    """Add `user erase`."""
    erase = verbs.add_parser(
        "erase",
        help="delete a user and his personal data; without --confirm, say what would be done",
        description="What he did stays in the audit log, under user:ID. His name, addresses and "
        "devices cannot be read there any more. Restored backups need it again.",
    )
    erase.add_argument("login", help="the user's login or id")
    erase.add_argument("--confirm", metavar="LOGIN", help="the login or id again: erase him")
    erase.add_argument("--why", default="", help="the reason, for the audit log")
    erase.add_argument(
        "--even-last-admin",
        dest="exempt",
        action="store_const",
        const=INSTALLATION,
        help="also where he is the last administrator of the installation or of a tenant",
    )
    erase.set_defaults(run=run_erase)


def run_erase(args: argparse.Namespace) -> int:
    """Print a JSON report."""
    if args.confirm is None:
        print(
            f"This deletes the user {args.login} with sessions, grants, devices and second factor. "
            "It deletes the keys of his personal data in the audit log too. His name in rules, "
            f"holds and configurations becomes his id. To do it: --confirm {args.login}"
        )
        return 0
    if args.confirm != args.login:
        raise ConfigError(f"--confirm is not {args.login}: write the user's login or id again.")

    async def erasing() -> ErasedUser:
        settings, now_ms = get_settings(), utc_ms()
        async with admin_catalog(settings) as catalog, make_object_store(settings) as store:
            erased = await erase_user(
                catalog, args.login, now_ms, cli_origin(args.why), exempt=args.exempt
            )
            # A restored database has him again: `vigil catalog restored` reads this.
            await ErasureLedger(store).add(RecordedErasure(f"user:{erased.id}", now_ms))
            return erased

    erased = asyncio.run(erasing())
    report = {
        "user": erased.id,
        "names_replaced": erased.renamed,
        "audit_texts": erased.audit_texts,
        "later": {
            "sessions": "Web workers reject them within 5 s.",
            "backups": "Backups of the catalog are gone when they are deleted by age. After a "
            "restore, `vigil catalog restored` erases him again.",
            "logs": "Log lines of the web have addresses, without names. Delete them by age.",
        },
    }
    print(json.dumps(report, indent=2))
    return 0
