"""The demo's entries in the catalog: the schema, the cameras, an API key, a user."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from domain.access import INSTALLATION, Grant, Role
from domain.audit import BY_SYSTEM
from domain.times import utc_ms
from stores.audit_keys import create_key_file
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.audit import write_audit
from stores.catalog.keys import create_key, find_key
from stores.catalog.second_factor import release_second_factor
from stores.catalog.users import create_user, find_user, set_password
from web.passwords import generate_password, hash_password

DEMO_LOGIN = "demo"


def ask_catalog(database_url: str, cameras: Mapping[str, str], key_file: Path) -> str:
    """Migrate, add the cameras (id -> name), return the API key, which `key_file` keeps."""
    return asyncio.run(_prepare(database_url, cameras, key_file))


async def _prepare(database_url: str, cameras: Mapping[str, str], key_file: Path) -> str:
    await migrate(database_url)
    now_ms = utc_ms()
    async with Catalog(database_url, size=1) as catalog:
        for camera, name in cameras.items():
            await add_camera(catalog, camera, name, now_ms, unsigned="warn")
        key = _known(key_file)
        if key and await find_key(catalog, key):
            return key
        key = await create_key(catalog, "demo", now_ms)
        _keep(key_file, key)
        return key


def ensure_demo_user(database_url: str, password_file: Path) -> str:
    """Create the demo's administrator; return the password, which `password_file` keeps."""
    return asyncio.run(_ensure_user(database_url, password_file))


async def _ensure_user(database_url: str, password_file: Path) -> str:
    async with Catalog(database_url, size=1) as catalog:
        known = _known(password_file)
        user = await find_user(catalog, DEMO_LOGIN)
        if known and user is not None:
            return known
        password = generate_password()
        password_hash = hash_password(password)
        now_ms = utc_ms()
        async with catalog.transaction() as connection:
            if user is None:
                # The demo's first sign-in needs no phone.
                if await release_second_factor(connection, INSTALLATION):
                    entry = BY_SYSTEM.entry(now_ms, "second-factor:release", INSTALLATION)
                    await write_audit(connection, entry)
                await create_user(
                    connection,
                    login=DEMO_LOGIN,
                    display_name="Demo",
                    scope=INSTALLATION,
                    now_ms=now_ms,
                    grants=[Grant(Role.ADMIN, INSTALLATION), Grant(Role.AUDITOR, INSTALLATION)],
                    password_hash=password_hash,
                )
            else:  # the file was deleted
                await set_password(connection, user.id, password_hash, now_ms)
        _keep(password_file, password)
        return password


def ensure_audit_key(folder: Path) -> Path:
    """Create the key that signs the heads of the audit log; return its file."""
    file = folder / "audit-key.pem"
    if not file.exists():
        signer = create_key_file(file)
        (folder / "audit-public.pem").write_bytes(signer.public_pem)
    return file


def _known(key_file: Path) -> str:
    return key_file.read_text() if key_file.exists() else ""


def _keep(key_file: Path, key: str) -> None:
    descriptor = os.open(key_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
