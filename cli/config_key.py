"""`vigil config-key`: the key that signs the configuration of sites."""

import argparse
import asyncio
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.audit_origin import cli_origin
from domain.device_identity import key_id
from domain.errors import ConfigError
from domain.signed_config import sign_config, sign_successor
from domain.site_config import ConfigSignature, Successor
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog
from stores.catalog.config_keys import ConfigKey, add_config_key, list_config_keys
from stores.catalog.site_configs import ConfigSigner
from stores.key_files import create_private_key_file, read_private_key_file
from streams.settings import get_settings
from streams.storage import admin_catalog

_REMEDY = "Make one with `vigil config-key create FILE`."


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `config-key create`, `rotate` and `list`."""
    group = commands.add_parser("config-key", help="the key that signs sites' configurations")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    creating = verbs.add_parser("create", help="make the installation's first key")
    rotating = verbs.add_parser(
        "rotate", help="make a new key and sign it with the one in VIGIL_CONFIG_KEY_FILE"
    )
    listing = verbs.add_parser("list", help="list the public keys, the newest first")
    for each in (creating, rotating):
        each.add_argument("file", type=Path, help="new file for the private key, PEM")
    for each, run in ((creating, run_create), (rotating, run_rotate), (listing, run_list)):
        each.set_defaults(run=run)


def configured_signer(not_before_ms: int) -> ConfigSigner | None:
    """Return what signs with the key in VIGIL_CONFIG_KEY_FILE; None where that is not set."""
    path = get_settings().config_key_file
    if path is None:
        return None
    key = _read(path)

    def sign(site: str, version: int, text: str) -> ConfigSignature:
        return sign_config(key, site, version, not_before_ms, text)

    return sign


def _read(path: Path) -> Ed25519PrivateKey:
    return read_private_key_file(path, "VIGIL_CONFIG_KEY_FILE", _REMEDY)


def run_create(args: argparse.Namespace) -> int:
    """Make the first key."""
    _add(args.file, None)
    print("Store each configuration again, so that it is signed: `vigil site config sign`.")
    return 0


def run_rotate(args: argparse.Namespace) -> int:
    """Make the next key. Devices follow, because the old key signs the new one."""
    old = get_settings().config_key_file
    if old is None:
        raise ConfigError(f"Set VIGIL_CONFIG_KEY_FILE to the key in use. {_REMEDY}")
    _add(args.file, _read(old))
    print("Store each configuration again, so that devices follow: `vigil site config sign`.")
    return 0


def _add(path: Path, old: Ed25519PrivateKey | None) -> None:
    key = create_private_key_file(path)
    public = key.public_key().public_bytes_raw()
    successor: Successor | None = None if old is None else sign_successor(old, public)

    async def adding() -> str:
        async with _catalog() as catalog, catalog.transaction() as connection:
            return await add_config_key(
                connection, public, successor, now_ms=utc_ms(), origin=cli_origin()
            )

    try:
        id_ = asyncio.run(adding())
    except BaseException:
        path.unlink(missing_ok=True)  # its public key is nowhere
        raise
    print(f"The configuration key {id_} is in {path}. Keep it where no worker reads it.")
    print(f"Set VIGIL_CONFIG_KEY_FILE={path} where you run `vigil site config`.")


def run_list(_args: argparse.Namespace) -> int:
    """List the keys; one line each: id, time, public key."""

    async def listing() -> list[ConfigKey]:
        async with _catalog() as catalog, catalog.transaction() as connection:
            return await list_config_keys(connection)

    for key in reversed(asyncio.run(listing())):
        assert key_id(key.public_key) == key.id
        print(f"{key.id}  {format_ms(key.added_ms)}  {key.public_key.hex()}")
    return 0


def _catalog() -> Catalog:
    return admin_catalog(get_settings())
