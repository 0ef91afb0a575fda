"""Sessions by a provider: its person is asked about again, and loses what the provider took away.

request ──► fresh? ──────────────────────────────► answered
            due ──► one worker claims the row ──► provider ──► confirmed, with fewer grants
                                                          ├──► refused: the session ends
                                                          └──► no answer: goes on, for a time
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from prometheus_client import Counter

from domain.audit import BY_SYSTEM
from domain.errors import OidcError, StoreError
from domain.oidc import check_due, grants_for
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.oidc import (
    OidcSession,
    claim_check,
    confirm_session,
    confirm_user,
    end_oidc_sessions,
    get_oidc_session,
    keep_grants,
    refuse_user,
    release_check,
)
from stores.catalog.sessions import OpenSession
from stores.catalog.users import get_user
from stores.catalog.web_catalog import all_tenants
from streams.metrics import REGISTRY
from web.oidc.http import TIMEOUT_S
from web.oidc.provider import Provider, ProviderStatement
from web.oidc.sign_in import OidcProviders

log = logging.getLogger(__name__)

CLAIM_MS = int(TIMEOUT_S * 4 * 1_000)
"""Discovery, tokens, keys, user info: a worker that asks needs no longer, or it was killed."""
POLL_S = 0.2
ENDS = frozenset({"refused", "subject", "no-access"})
"""Reasons that are the provider's word on the person. All others are its own faults."""

CHECKS = Counter(
    "vigil_oidc_checks",
    "Checks of sessions at OpenID providers, by outcome: ok, or why not",
    ("provider", "outcome"),
    registry=REGISTRY,
)


class _NotAskedError(OidcError):
    """The session ends without a word of the provider on the person: his API keys go on."""


@dataclass(frozen=True, slots=True)
class _Tokens:
    refresh: str | None
    access: str | None


def sealed_tokens(
    providers: OidcProviders, session: str, signed_in: ProviderStatement
) -> bytes | None:
    """Return the tokens of a session, encrypted for its row; None where there are none."""
    if signed_in.refresh_token is None and signed_in.access_token is None:
        return None
    text = json.dumps([signed_in.refresh_token, signed_in.access_token])
    return providers.tokens.seal(text, session)


class SessionChecks:
    """Asks providers about the people of open sessions; at most once at a time for a session."""

    def __init__(self, providers: OidcProviders, clock_ms: Callable[[], int]) -> None:
        self._providers = providers
        self._clock_ms = clock_ms
        self._running: dict[str, asyncio.Task[None]] = {}

    def is_due(self, session: OpenSession) -> bool:
        """Return whether `confirm` must be called before a session is used."""
        if session.provider is None or session.checked is None:
            return False  # no provider opened it
        provider = self._providers.get(session.provider)
        if provider is None:
            return True  # it was taken out of the configuration
        due = check_due(session.checked, self._clock_ms(), provider.config.unreachable_ms)
        return due not in {"fresh", "unreachable"}

    async def confirm(self, catalog: Catalog, session: OpenSession) -> None:
        """Ask the provider of a session; end the session where it refuses. Then read it again."""
        number, user = session.caller.session, session.caller.user
        assert session.provider is not None and number is not None and user is not None
        task = self._running.get(number)
        if task is None:
            with all_tenants():
                task = asyncio.get_running_loop().create_task(
                    self._check(catalog, session.provider, number, user)
                )
            self._running[number] = task
            task.add_done_callback(lambda _: self._running.pop(number, None))
        # The check goes on where this request is cancelled: a refresh token may work only once.
        await asyncio.shield(task)

    async def _check(self, catalog: Catalog, provider_id: str, session: str, user: str) -> None:
        claimed = await claim_check(catalog, session, self._clock_ms(), CLAIM_MS)
        if claimed is None:
            await self._wait(catalog, provider_id, session)
            return
        provider = self._providers.get(provider_id)
        if provider is None:
            await self._end(catalog, claimed, user, "not configured")
            return
        try:
            statement = await self._ask(provider, claimed)
            outcome = await self._confirm(catalog, provider, claimed, statement, user)
        except OidcError as error:
            outcome = error.reason
            log.warning("%s: check of user %s: %s", provider.config.id, user, error)
            if error.reason in ENDS or not self._may_go_on(provider, claimed):
                out = error.reason in ENDS and not isinstance(error, _NotAskedError)
                await self._end(catalog, claimed, user, error.reason, person_is_out=out)
            else:
                await release_check(catalog, session)
        CHECKS.labels(provider.config.id, outcome).inc()

    async def _wait(self, catalog: Catalog, provider_id: str, session: str) -> None:
        """Wait for the worker that asks. What it wrote decides."""
        deadline = asyncio.get_running_loop().time() + CLAIM_MS / 1_000
        while asyncio.get_running_loop().time() < deadline:
            found = await get_oidc_session(catalog, session)
            if found is None or found.claimed_until_ms <= self._clock_ms():
                return
            await asyncio.sleep(POLL_S)
        raise StoreError(f"Another worker still asks {provider_id} about a session.")

    def _may_go_on(self, provider: Provider, session: OidcSession) -> bool:
        due = check_due(session.times, self._clock_ms(), provider.config.unreachable_ms)
        return due != "too-old"

    async def _ask(self, provider: Provider, session: OidcSession) -> ProviderStatement:
        if session.iss != provider.config.issuer:
            raise _NotAskedError("refused", "The provider has another issuer now.")
        tokens = self._open(session)
        if tokens.refresh is not None:
            return await provider.renew(session.sub, tokens.refresh)
        expires = session.access_until_ms
        if tokens.access is None or (expires is not None and self._clock_ms() >= expires):
            raise _NotAskedError("refused", "No token is left to ask the provider with.")
        return await provider.ask(session.sub, tokens.access)

    def _open(self, session: OidcSession) -> _Tokens:
        text = None
        if session.tokens is not None:
            text = self._providers.tokens.open(session.tokens, session.session)
        return _Tokens(None, None) if text is None else _Tokens(*json.loads(text))

    async def _confirm(
        self,
        catalog: Catalog,
        provider: Provider,
        session: OidcSession,
        signed_in: ProviderStatement,
        user: str,
    ) -> str:
        """Write the tokens, and take away what the groups no longer give; return the outcome.

        Roles that the groups give newly count from the next sign-in, with a new cookie.
        """
        now_ms = self._clock_ms()
        given = grants_for(signed_in.groups, provider.config.grants)
        kept_tokens = self._newest_tokens(session, signed_in)
        async with catalog.transaction() as connection:
            row = await get_user(connection, user)
            if row is None:
                return "disabled"
            removed = await keep_grants(connection, user, given, now_ms)
            is_open = any(grant in given for grant in row.own_grants)
            if is_open:
                await confirm_user(connection, user, now_ms)
                await confirm_session(
                    connection,
                    session.session,
                    sealed_tokens(self._providers, session.session, kept_tokens),
                    kept_tokens.access_until_ms,
                    now_ms,
                )
            else:
                await refuse_user(connection, user, now_ms)
                await end_oidc_sessions(connection, [session.session], now_ms)
            if removed:
                entry = BY_SYSTEM.entry(
                    now_ms,
                    "user:change",
                    f"user:{user}",
                    tenant=row.scope.partition("/")[0],
                    before={"grants": [str(grant) for grant in row.own_grants]},
                    after={"provider": provider.config.id, "removed": removed},
                )
                await write_audit(connection, entry)
        return "ok" if is_open else "no-access"

    def _newest_tokens(
        self, session: OidcSession, statement: ProviderStatement
    ) -> ProviderStatement:
        """Return the answer with the tokens so far, where the provider sent no others."""
        before = self._open(session)
        if statement.access_token == before.access:
            statement = replace(statement, access_until_ms=session.access_until_ms)
        if statement.refresh_token is None:
            statement = replace(statement, refresh_token=before.refresh)
        return statement

    async def _end(
        self,
        catalog: Catalog,
        session: OidcSession,
        user: str,
        reason: str,
        *,
        person_is_out: bool = False,
    ) -> None:
        now_ms = self._clock_ms()
        async with catalog.transaction() as connection:
            row = await get_user(connection, user)
            if person_is_out:
                await refuse_user(connection, user, now_ms)
            await end_oidc_sessions(connection, [session.session], now_ms)
            entry = BY_SYSTEM.entry(
                now_ms,
                "session:end",
                f"user:{user}",
                tenant=None if row is None else row.scope.partition("/")[0],
                after={"provider": session.provider, "reason": reason},
            )
            await write_audit(connection, entry)
