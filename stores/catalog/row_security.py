"""Which role of PostgreSQL may do what with which table, and whose rows it sees.

    vigil_web      the API: rows of the tenants in `vigil.tenants`, a setting of each transaction
    vigil_index    workers and passes, which store and delete what was recorded: all tenants
    vigil_link     the devices' address: enrolment, renewals, the link, live pictures; all tenants
    vigil_admin    commands and administration: all tenants, all tables
    (the owner)    migrates

`RULES` is the one list. `vigil catalog migrate` applies it in the transaction of the migration. A
table without a rule is closed to the four roles. Partitions have no grants: they are read by way
of their table, whose policy counts. docs/design/access.md says why.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from stores.catalog.pool import Catalog, sql

ROLES = WEB, INDEX, ADMIN, LINK = ("vigil_web", "vigil_index", "vigil_admin", "vigil_link")
_FIRST_ROLES = (WEB, INDEX, ADMIN)
"""Without one of them no rule is set. An owner who may create no role may lack the later ones."""
SETTING = "vigil.tenants"
"""Comma-separated tenants, or `*` for all. Unset: no row is visible."""

_READ = "SELECT"
_WRITE = "SELECT, INSERT, UPDATE, DELETE"
_ADD = "SELECT, INSERT, DELETE"


@dataclass(frozen=True, slots=True)
class TableRule:
    """The rights on one table. An empty text: none."""

    table: str
    owner: str | None
    """SQL: the id (tenant, or an id or scope that begins with one) of the row's owner, or a whole
    condition in parentheses. None: rows belong to no tenant, and row-level security is off."""
    web: str = ""
    index: str = ""
    link: str = ""
    admin: str = _WRITE

    @property
    def condition(self) -> str:
        """Return when vigil_web sees a row.

        The two sub-selects run once for a statement, not for each row.
        """
        tenants = f"(SELECT current_setting('{SETTING}', true))"
        if self.owner is not None and self.owner.startswith("("):
            return f"{tenants} = '*' OR {self.owner}"
        allowed = f"(SELECT string_to_array(current_setting('{SETTING}', true), ','))"
        return f"{tenants} = '*' OR split_part({self.owner}, '/', 1) = ANY ({allowed}::text[])"


RULES: Sequence[TableRule] = (
    TableRule("tenants", "id", web="SELECT, INSERT, UPDATE (name)", index=_READ),
    TableRule(
        "sites",
        "tenant",
        web="SELECT, INSERT, UPDATE (name, zone, unsigned)",
        index=_READ,
        link="SELECT (id, zone)",
    ),
    TableRule(
        "cameras",
        "id",
        web="SELECT, INSERT, UPDATE (name, disabled_ms, retired_ms)",
        index="SELECT, UPDATE",
        link="SELECT (id, site, disabled_ms)",
    ),
    TableRule("footage", "camera", web=_READ, index=_WRITE),
    TableRule("runs", "camera", web=_READ, index=_WRITE),
    TableRule("fragments", "camera", web=_READ, index=_WRITE),
    # Before chunks, so that an erasure counts its rows: the triggers find none afterwards. They
    # have the owner's rights.
    TableRule("footage_days", "camera", web=_READ),
    TableRule("chunks", "camera", web=_READ, index=_WRITE),
    TableRule("chunk_days", "camera", web=_READ, index=_WRITE),
    TableRule("footage_days_to_fill", None),
    TableRule("live_sections", "camera", web=_READ, index=_WRITE),
    TableRule("lost_windows", "camera", web=_READ, index=_WRITE),
    TableRule("detections", "camera", web=_READ, index=_WRITE),
    TableRule("detection_minutes", "camera", web=_READ, index=_WRITE),
    TableRule("detections_gone", "camera", index=_WRITE),
    TableRule("tombstones", "camera", index=_WRITE),
    TableRule("deletions", "camera", web=_READ, index=_WRITE),
    TableRule("model_replays", "camera", web=_READ, index=_WRITE),
    TableRule(
        "model_replay_chunks",
        "(EXISTS (SELECT FROM model_replays AS replays WHERE replays.id = replay))",
        index=_WRITE,
    ),
    TableRule(
        "edges",
        "site",
        web=_READ,
        index=_WRITE,
        link="SELECT (site, edge, cameras, heard_ms, spool_waiting, spool_oldest_ms)",
    ),
    TableRule("site_configs", "site", web=_READ, index=_READ, link=_READ),
    TableRule("config_keys", None, web=_READ, index=_READ, link=_READ),  # public keys
    # The web keeps the rights of link workers for one version: those of before work as vigil_web.
    TableRule("link_workers", None, web=_WRITE, link=_WRITE),
    TableRule("edge_links", "device", web=_WRITE, link=_WRITE),
    TableRule(
        "edge_commands",
        "device",
        web=_WRITE,
        link="SELECT, UPDATE (state, done_ms, detail, result, body, body_type), DELETE",
    ),
    # A device proves itself before its tenant is known: so link workers see all tenants.
    TableRule(
        "devices",
        "id",
        web="SELECT, INSERT, UPDATE",
        index=_READ,
        link="SELECT, INSERT, UPDATE (state, generation, key, certificate, renewal_id, can_rejoin, "
        "enrolled_ms, renewed_ms, expires_ms, locked_ms, locked_why, revoked_ms, changed_ms)",
    ),
    TableRule(
        "device_keys",
        "device",
        web="SELECT, INSERT, UPDATE",
        index=_READ,
        link="SELECT, INSERT, UPDATE (last_generation, revoked)",
    ),
    TableRule(
        "enrolment_codes",
        "site",
        web=_WRITE,
        index=_READ,
        link="SELECT, UPDATE (used_ms, used_by, failures)",
    ),
    # A release is signed by a command: no worker adds one.
    TableRule("releases", None, web="SELECT, UPDATE (withdrawn_ms, withdrawn_why)", link=_READ),
    TableRule(
        "rollouts",
        None,
        web="SELECT, INSERT, UPDATE",
        link="SELECT, UPDATE (state, ring, soak_since_ms, reason, changed_ms, ring_ms, ended_ms, "
        "round)",
    ),
    TableRule("rollout_devices", "device", web=_READ, link=_WRITE),
    TableRule("device_software", "device", web=_READ, link=_WRITE),
    TableRule("site_updates", "site", web="SELECT, INSERT, UPDATE", link=_READ),
    TableRule("retention_rules", "scope", web=_WRITE, index=_READ),
    TableRule(
        "legal_holds",
        "scope",
        web="SELECT, INSERT, UPDATE (lifted_by, lifted_by_id, lifted_ms, lifted_why)",
        index=_READ,
    ),
    # A key is seen by those who see one of its grants. It is added before these, for one tenant.
    TableRule(
        "api_keys",
        "(EXISTS (SELECT FROM api_key_grants AS grants WHERE grants.key = api_keys.id) OR "
        f"tenant = ANY (string_to_array(current_setting('{SETTING}', true), ',')))",
        web="SELECT, INSERT, UPDATE (used_ms, revoked_ms, expires_ms)",
    ),
    TableRule("api_key_grants", "scope", web="SELECT, INSERT"),
    TableRule("second_factor_rules", "scope", web=_ADD),
    TableRule("ended_sessions", None, web="SELECT, INSERT, DELETE"),
    # A user belongs to his scope's tenant, and is seen by those who see one of his grants.
    TableRule(
        "users",
        "(split_part(users.scope, '/', 1) = ANY "
        f"(string_to_array(current_setting('{SETTING}', true), ',')) "
        "OR EXISTS (SELECT FROM user_grants AS grants WHERE grants.user_id = users.id))",
        web="SELECT, INSERT, UPDATE",
    ),
    TableRule("user_grants", "scope", web=_ADD),
    TableRule("groups", "scope", web=_WRITE),
    TableRule(
        "group_members",
        "(EXISTS (SELECT FROM groups WHERE groups.id = group_id))",
        web=_ADD,
    ),
    TableRule("group_grants", "scope", web=_ADD),
    # Read and written before it is known who signs in.
    TableRule("user_totp", None, web=_WRITE),
    TableRule("recovery_codes", None, web=_ADD),
    TableRule("sessions", None, web=_WRITE),
    TableRule("device_cookies", None, web=_WRITE),
    TableRule("oidc_sessions", None, web=_WRITE),
    TableRule("oidc_used", None, web=_ADD),
    TableRule("sign_in_limits", None, web=_WRITE),
    TableRule("idempotency_keys", None, web=_WRITE),  # of principals, who know their own keys
    TableRule("live_events", "camera", web=_READ, index=_WRITE),
    TableRule("live_epoch", None, web="SELECT, INSERT", index=_WRITE),
    TableRule("replays", None, index=_WRITE),
    # The audit log grows by its functions only, which run with the owner's rights.
    TableRule("vigil_audit.entries", "chain", web=_READ, admin=_READ),
    TableRule("vigil_audit.personal", "chain", web=_READ, admin="SELECT, DELETE"),
    TableRule("vigil_audit.subject_keys", "chain", web=_READ, admin="SELECT, DELETE"),
    TableRule("vigil_audit.chains", "chain", web=_READ, admin=_READ),
    TableRule("vigil_audit.signed", "chain"),
    TableRule("vigil_audit.erasures", "chain"),
    TableRule("vigil_audit.reads", "chain", web="SELECT, INSERT, DELETE"),
)

FUNCTIONS: Mapping[str, Sequence[str]] = {
    "ensure_day(text, bigint)": (INDEX, ADMIN),
    "drop_empty_day(text, text)": (INDEX, ADMIN),
    "vigil_audit.append(text, text, jsonb)": ROLES,
    "vigil_audit.subject_key(text, text, bytea)": ROLES,
}
"""Who may call the functions that run with the owner's rights. No one else may."""

SEQUENCES: Mapping[str, Sequence[str]] = {"model_turns": (INDEX, ADMIN)}
"""Who may take the next number of a sequence. Those of identity columns need no right."""

_NEWER = 160_000
"""From 16 on, a member may become a role without having its rights all the time."""


async def needed_roles(catalog: Catalog) -> str:
    """Return what an administrator of PostgreSQL runs where the catalog's user may create no roles.

    Then `vigil catalog migrate` sets the grants and policies.
    """
    async with catalog.transaction() as connection:
        version = int(await connection.fetchval("SHOW server_version_num"))
        user = await connection.fetchval("SELECT quote_ident(current_user)")
    lines = [f"CREATE ROLE {role} NOLOGIN;" for role in ROLES]
    return "\n".join([*lines, f"GRANT {', '.join(ROLES)} TO {user}{_becoming(version)};"])


async def rows_are_checked(catalog: Catalog) -> bool:
    """Return whether the web's transactions see only rows of their tenants."""
    async with catalog.transaction() as connection:
        return await connection.fetchval(sql("role_with_checks"), [WEB]) is not None


async def missing_roles(catalog: Catalog) -> list[str]:
    """Return the roles that this user may not become. Their processes work as this user."""
    return [row["name"] for row in await catalog.rows("missing_roles", list(ROLES))]


async def apply(connection: asyncpg.Connection) -> None:
    """Create the roles where that is allowed, and set grants and policies by `RULES`.

    Runs in the caller's transaction. Tables whose rules have not changed are not locked. Where a
    role is missing and may not be created, `vigil catalog status` reports that. Then nothing is
    changed; a missing role of a later version than the others is left out.
    """
    version = int(await connection.fetchval("SHOW server_version_num"))
    script = sql("create_roles").replace(":may_become", "SET" if version >= _NEWER else "MEMBER")
    await connection.execute(script.replace(":becoming", _becoming(version)))
    known = {row["name"] for row in await connection.fetch(sql("known_roles"), list(ROLES))}
    if not known.issuperset(_FIRST_ROLES):
        return
    present = [role for role in ROLES if role in known]
    rows = await connection.fetch(sql("policy_digests"), [rule.table for rule in RULES])
    digests = {row["table"]: row["digest"] for row in rows}
    statements = [
        statement
        for rule in RULES
        if rule.table in digests and digests[rule.table] != _digest(rule, present)
        for statement in _statements(rule, present)
    ]
    roles = ", ".join(present)
    schemas = await connection.fetch(sql("schemas_of"), [*digests])
    statements += [f"GRANT USAGE ON SCHEMA {row['schema']} TO {roles}" for row in schemas]
    for function, callers in FUNCTIONS.items():
        if await connection.fetchval("SELECT to_regprocedure($1) IS NOT NULL", function):
            statements.append(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC, {roles}")
            allowed = ", ".join(role for role in callers if role in known)
            statements.append(f"GRANT EXECUTE ON FUNCTION {function} TO {allowed}")
    for sequence, users in SEQUENCES.items():
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", sequence):
            statements.append(f"GRANT USAGE ON SEQUENCE {sequence} TO {', '.join(users)}")
    await connection.execute(";\n".join(statements))


def _becoming(version: int) -> str:
    return " WITH INHERIT FALSE, SET TRUE" if version >= _NEWER else ""


def _digest(rule: TableRule, roles: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(_grants_and_policies(rule, roles)).encode()).hexdigest()


def _statements(rule: TableRule, roles: Sequence[str]) -> list[str]:
    statements = _grants_and_policies(rule, roles)
    if rule.owner is not None:
        statements.append(f"COMMENT ON POLICY {WEB} ON {rule.table} IS '{_digest(rule, roles)}'")
    return statements


def _grants_and_policies(rule: TableRule, roles: Sequence[str]) -> list[str]:
    table = rule.table
    statements = [f"REVOKE ALL ON {table} FROM {', '.join(roles)}"]
    given = {WEB: rule.web, INDEX: rule.index, ADMIN: rule.admin, LINK: rule.link}
    statements += [f"GRANT {given[role]} ON {table} TO {role}" for role in roles if given[role]]
    if rule.owner is not None:
        condition = rule.condition
        of_all_tenants = ", ".join(role for role in roles if role != WEB)
        statements += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS {WEB} ON {table}",
            f"CREATE POLICY {WEB} ON {table} TO {WEB} USING ({condition}) WITH CHECK ({condition})",
            f"DROP POLICY IF EXISTS vigil_all ON {table}",
            f"CREATE POLICY vigil_all ON {table} TO {of_all_tenants} "
            "USING (true) WITH CHECK (true)",
        ]
    return statements
