"""The configuration of each site's edges: numbered versions, which are never changed."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.audit import BY_SYSTEM, AuditOrigin
from domain.errors import ConfigError, ConflictError
from domain.site_config import ConfigSignature, OfferedConfig, SiteVersion, digest_of
from stores.catalog.audit import write_audit
from stores.catalog.config_keys import list_config_keys
from stores.catalog.pool import Catalog, Connection, sql
from stores.catalog.tenants import ensure_site


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """Who set a version, when (UTC ms) and why."""

    version: int
    digest: str
    set_ms: int
    set_by: str
    note: str
    signed_by: str | None = None
    """Id of the configuration key; None: not signed."""


@dataclass(frozen=True, slots=True)
class EdgeConfigReport:
    """An edge's newest report about its configuration; heard_ms: UTC ms of the cloud."""

    edge: str
    heard_ms: int
    version: int | None
    state: str | None
    detail: str | None


ConfigSigner = Callable[[str, int, str], ConfigSignature]
"""Signs a version: site, number, canonical text."""


async def set_config(
    catalog: Catalog,
    site: str,
    text: str,
    *,
    now_ms: int,
    by: str,
    note: str,
    again: bool = False,
    above: int = 0,
    sign: ConfigSigner | None = None,
    origin: AuditOrigin = BY_SYSTEM,
) -> tuple[SiteVersion, bool]:
    """Add a canonical text as a site's next version; return it, and whether it was added.

    A text that equals the newest version is not added, unless `again`. `above`: the number is
    higher than this one too. `sign` None: it is not signed; ConfigError where the installation has
    a configuration key.
    """
    digest = digest_of(text)
    async with catalog.transaction() as connection:
        await ensure_site(connection, site, now_ms)
        await connection.execute(sql("lock_site"), site)
        newest = await connection.fetchrow(sql("get_site_config"), site, None)
        if newest is not None and newest["digest"] == digest and not again:
            return SiteVersion(**dict(newest)), False
        version = max(0 if newest is None else int(newest["version"]), above) + 1
        signature = await _signed(connection, sign, site, version, text)
        await connection.execute(
            sql("add_site_config"),
            site,
            text,
            digest,
            now_ms,
            by,
            note,
            version,
            *((None,) * 3 if signature is None else _signature_columns(signature)),
        )
        await check_config_has_camera(connection, site)
        # Not the text: it may have names and passwords. The catalog keeps each version.
        entry = origin.entry(
            now_ms,
            "site:configure",
            site,
            before=None
            if newest is None
            else {"version": newest["version"], "digest": newest["digest"]},
            after={"version": version, "digest": digest}
            | ({} if signature is None else {"signed_by": signature.key}),
            reason=note,
        )
        await write_audit(connection, entry)
    return SiteVersion(int(version), digest, text), True


async def get_config(catalog: Catalog, site: str, version: int | None = None) -> SiteVersion | None:
    """Return a site's newest version, or the given one; None where there is none."""
    row = await catalog.row("get_site_config", site, version)
    return None if row is None else SiteVersion(**dict(row))


async def get_offer(catalog: Catalog, site: str) -> OfferedConfig | None:
    """Return a site's newest version as it was signed, with the cameras that are disabled now.

    None where there is none. So disabling a camera needs no new version and no signature.
    """
    async with catalog.transaction() as connection:
        row = await connection.fetchrow(sql("get_signed_site_config"), site)
        if row is None:
            return None
        names = await _disabled_names(connection, site)
        keys = [] if row["signed_by"] is None else await list_config_keys(connection)
    signature = None
    if row["signed_by"] is not None:
        signature = ConfigSignature(row["signed_by"], row["not_before_ms"], row["signature"])
    return OfferedConfig(
        SiteVersion(row["version"], row["digest"], row["text"]),
        signature,
        frozenset(names),
        tuple(key.successor for key in keys if key.successor is not None),
    )


async def get_config_for_edge(catalog: Catalog, site: str) -> SiteVersion | None:
    """Return a site's newest version without its disabled cameras; None where there is none.

    The digest is that of the text without them: an edge takes a version with another digest for a
    new one. So disabling a camera needs no new version, and enabling it restores the text.
    """
    offer = await get_offer(catalog, site)
    if offer is None:
        return None
    try:
        return offer.effective()
    except ConfigError:
        return offer.version  # it is corrupt: the edge rejects it, and says so


async def _signed(
    connection: Connection, sign: ConfigSigner | None, site: str, version: int, text: str
) -> ConfigSignature | None:
    """Sign with a key of the installation; ConfigError where it has one and this is not it."""
    keys = await list_config_keys(connection)
    if sign is None:
        if keys:
            raise ConfigError(
                "This installation signs its configurations, and devices refuse unsigned ones. "
                "Set VIGIL_CONFIG_KEY_FILE to the file of its configuration key."
            )
        return None
    signature = sign(site, version, text)
    if not keys or keys[-1].id != signature.key:
        raise ConfigError(
            f"The key {signature.key} of VIGIL_CONFIG_KEY_FILE is not the newest one of this "
            "installation. `vigil config-key list` shows them."
        )
    return signature


def _signature_columns(signature: ConfigSignature) -> tuple[int, str, bytes]:
    return signature.not_before_ms, signature.key, signature.value


async def check_config_has_camera(connection: Connection, site: str) -> None:
    """Raise ConflictError where all cameras of a site's configuration are disabled.

    An edge rejects a configuration without cameras, and would go on recording the last one.
    """
    names = await _disabled_names(connection, site)
    row = await connection.fetchrow(sql("get_site_config"), site, None) if names else None
    if row is None:
        return
    version = SiteVersion(**dict(row))
    left = version.without_cameras(names)
    if left != version and not left.document()["cameras"]:
        raise ConflictError(
            f"All cameras in the configuration of {site} would be disabled, and an edge needs one. "
            "Leave one enabled, or stop the device."
        )


async def _disabled_names(connection: Connection, site: str) -> set[str]:
    rows = await connection.fetch(sql("disabled_cameras"), site)
    return {row["id"].rsplit("/", 1)[1] for row in rows}


async def roll_back(
    catalog: Catalog,
    site: str,
    to: int | None,
    *,
    now_ms: int,
    by: str,
    note: str,
    sign: ConfigSigner | None = None,
    origin: AuditOrigin = BY_SYSTEM,
) -> SiteVersion:
    """Add a version that equals an old one (rollback). None: the previous one. ConfigError."""
    newest = await get_config(catalog, site)
    if newest is None:
        raise ConfigError(f"{site} has no configuration in the catalog.")
    number = newest.version - 1 if to is None else to
    old = await get_config(catalog, site, number) if 0 < number < 1 << 31 else None
    if old is None:
        raise ConfigError(
            f"{site} has no version {number}; `vigil site config history` lists them."
        )
    reason = note or f"back to version {old.version}"
    added, _ = await set_config(
        catalog,
        site,
        old.text,
        now_ms=now_ms,
        by=by,
        note=reason,
        again=True,
        sign=sign,
        origin=origin,
    )
    return added


async def config_history(
    catalog: Catalog, site: str, limit: int = 50, *, before: int | None = None
) -> list[ConfigVersion]:
    """Return a site's versions, newest first; `before`: only older ones than this."""
    rows = await catalog.rows("list_site_configs", site, limit, before)
    return [ConfigVersion(**dict(row)) for row in rows]


async def edge_config_reports(catalog: Catalog, site: str) -> list[EdgeConfigReport]:
    """Return the newest report of each of the site's edges."""
    return [
        EdgeConfigReport(**dict(row)) for row in await catalog.rows("edge_config_reports", site)
    ]
