"""/api/v1/session/oidc: sign in by an OpenID provider. See docs/design/oidc.md."""

import html
import logging
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qs

from aiohttp import web
from faust.web import View
from multidict import MultiMapping
from pydantic import Field

from domain.access import Grant
from domain.audit import tenant_of
from domain.errors import OidcError, StoreError, VigilError
from domain.oidc import SIGN_IN_MS, LogoutTarget, grants_for
from stores.catalog.audit import record_audit, write_audit
from stores.catalog.oidc import add_oidc_session, log_out, sign_in_user, use_once
from stores.catalog.sessions import create_session
from stores.catalog.sign_in import give_attempts_back, limit_subject, take_attempts
from stores.catalog.web_catalog import all_tenants
from stores.http_server import network_of
from web.access import PUBLIC
from web.audit import origin_of
from web.bodies import json_answer
from web.cookies import set_session_cookie
from web.oidc.provider import Provider, ProviderStatement, SignInAttempt
from web.oidc.renewal import sealed_tokens
from web.oidc.sign_in import CALLBACK_PATH, OidcProviders, ProviderAnswer, answer_of, count
from web.operations import MediaBody, Operation, describe
from web.problems import ProblemError, not_found, problem_response
from web.query import read_body
from web.request_id import request_id
from web.schemas.base import ApiAnswer
from web.services import SERVICES
from web.session import end_own_session

log = logging.getLogger(__name__)

MAX_LOGOUT_BODY = 80 << 10
NO_STORE = {"Cache-Control": "no-store"}
STATUSES = {
    "unreachable": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "catalog": HTTPStatus.SERVICE_UNAVAILABLE,
    "answer": HTTPStatus.BAD_GATEWAY,
    "groups": HTTPStatus.BAD_GATEWAY,
    "limited": HTTPStatus.TOO_MANY_REQUESTS,
    "cancelled": HTTPStatus.FORBIDDEN,
    "no-access": HTTPStatus.FORBIDDEN,
    "second-factor": HTTPStatus.FORBIDDEN,
    "disabled": HTTPStatus.FORBIDDEN,
}
"""Of the answer to a sign-in that failed, by reason; all others: 400."""
ERROR_PAGE = MediaBody("text/html", "A page that says why, for browsers. Others get a problem.")


class SignInProvider(ApiAnswer):
    """An OpenID provider by which people can sign in."""

    id: str = Field(description="Its id in the configuration.")
    name: str = Field(description="Text of its button.")
    path: str = Field(
        description="Where a browser begins the sign-in. `?next=/PATH` names the page to show then."
    )


class SignInProviders(ApiAnswer):
    """The providers, in the order of the configuration."""

    providers: list[SignInProvider] = Field(description="Empty where none is configured.")


class OidcProvidersView(View):
    """The providers, for the sign-in page."""

    view_path = "/api/v1/session/oidc"
    access = PUBLIC
    operations = describe(
        get=Operation("List the OpenID providers to sign in by", answer=SignInProviders)
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the providers; none where none is configured."""
        return json_answer(
            SignInProviders(
                providers=[
                    SignInProvider(
                        id=each.config.id,
                        name=each.config.name,
                        path=OidcStartView.view_path.format(provider=each.config.id),
                    )
                    for each in request.app[SERVICES].oidc.all()
                ]
            )
        )


class OidcStartView(View):
    """The button of a provider."""

    view_path = "/api/v1/session/oidc/{provider}"
    access = PUBLIC
    operations = describe(
        get=Operation(
            "Begin a sign-in by an OpenID provider",
            description="For browsers: sends them to the provider, with a cookie for the way back.",
            status=303,
            others={503: ERROR_PAGE},
        )
    )

    async def get(self, request: web.Request, provider: str) -> web.Response:
        """Send the browser to the provider."""
        services = request.app[SERVICES]
        found = require_provider(services.oidc, provider)
        try:
            url, cookie = await services.oidc.begin(found, request.query.get("next", "/"))
        except OidcError as error:
            return failed(request, found, error)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": url, **NO_STORE})
        response.set_cookie(
            services.oidc.cookie_name,
            cookie,
            max_age=SIGN_IN_MS // 1_000,
            path="/",
            httponly=True,
            # Lax: the provider's page, another site, sends the browser back.
            samesite="Lax",
            secure=services.oidc.is_https,
        )
        return response


class OidcCallbackView(View):
    """Where the provider sends the browser back to."""

    view_path = CALLBACK_PATH
    access = PUBLIC
    operations = describe(
        get=Operation(
            "End a sign-in by an OpenID provider",
            description="For browsers that a provider sends back: sets the session's cookie.",
            status=303,
            others={400: ERROR_PAGE, 403: ERROR_PAGE, 502: ERROR_PAGE, 503: ERROR_PAGE},
        )
    )

    async def get(self, request: web.Request, provider: str) -> web.Response:
        """Check the answer, open a session, and send the browser to the page."""
        services = request.app[SERVICES]
        providers = services.oidc
        found = require_provider(providers, provider)
        try:
            answer = answer_of(_lists(request.query))
            cookie = request.cookies.get(providers.cookie_name, "")
            attempt = providers.attempt_of(found, cookie, answer.state)
        except OidcError as error:
            # A sign-in that is in progress in this browser goes on.
            return failed(request, found, error)
        try:
            with all_tenants():  # no one is known yet
                token = await self._sign_in(request, found, attempt, answer)
        except OidcError as error:
            response = failed(request, found, error)
            if error.reason != "limited":
                await _audit_refusal(request, found, error)
        except StoreError as error:
            log.error("sign-in by %s: %s", found.config.id, error)
            text = "The catalog does not answer. Try again in a minute."
            response = failed(request, found, OidcError("catalog", text))
        else:
            services.sessions.forget()
            count(found, "ok")
            response = web.Response(
                status=HTTPStatus.SEE_OTHER, headers={"Location": attempt.path, **NO_STORE}
            )
            set_session_cookie(request, response, token)
        response.del_cookie(
            providers.cookie_name,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=providers.is_https,
        )
        return response

    async def _sign_in(
        self,
        request: web.Request,
        provider: Provider,
        attempt: SignInAttempt,
        answer: ProviderAnswer,
    ) -> str:
        """Return the value of the session's cookie; raise OidcError, StoreError."""
        services = request.app[SERVICES]
        catalog = await services.catalog.get()
        now_ms = services.clock_ms()
        # Failed sign-ins are in the audit log: no one may fill it.
        network = _network(request)
        refused = await take_attempts(catalog, [network], now_ms)
        if refused is not None:
            wait_s = -(-refused.wait_ms // 1_000)
            raise OidcError(
                "limited", f"Too many sign-ins from your network failed. Wait {wait_s} s."
            )

        async def once(state: str) -> bool:
            return await use_once(catalog, f"state {state}", attempt.until_ms, now_ms)

        statement = await services.oidc.finish(provider, attempt, answer, once)
        grants = grants_for(statement.groups, provider.config.grants)
        if not grants:
            log.info(
                "%s: no role for the groups of %s: %s",
                provider.config.id,
                statement.identity.subject,
                ", ".join(statement.groups)[:500],
            )
            raise OidcError("no-access", _no_access(provider, statement))
        return await self._open(request, provider, statement, grants)

    async def _open(
        self,
        request: web.Request,
        provider: Provider,
        statement: ProviderStatement,
        grants: tuple[Grant, ...],
    ) -> str:
        services = request.app[SERVICES]
        catalog, now_ms = await services.catalog.get(), services.clock_ms()
        identity, origin = statement.identity, origin_of(request)
        async with catalog.transaction() as connection:
            await give_attempts_back(connection, [_network(request)], now_ms)
            await end_own_session(request, connection)
            user = await sign_in_user(connection, identity, grants, now_ms)
            if user.disabled_ms is not None:
                raise OidcError(
                    "disabled", f"{identity.name} is disabled here. Ask an administrator of Vigil."
                )
            session, token = await create_session(
                connection, now_ms, user=user.id, address=origin.address, agent=origin.agent
            )
            await add_oidc_session(
                connection,
                session,
                provider.config.id,
                identity,
                provider_session=statement.provider_session,
                tokens=sealed_tokens(services.oidc, session, statement),
                access_until_ms=statement.access_until_ms,
                now_ms=now_ms,
            )
            whose = f"user:{user.id}"
            entry = replace(origin, actor=whose, session=session, name=identity.name).entry(
                now_ms,
                "session:create",
                whose,
                tenant=tenant_of(grant.scope for grant in grants),
                after={
                    "provider": provider.config.id,
                    "session": session,
                    "grants": [str(grant) for grant in grants],
                },
            )
            await write_audit(connection, entry)
        return token


class OidcLogoutView(View):
    """Where a provider reports that a person signed out there (back-channel logout)."""

    view_path = "/api/v1/session/oidc/{provider}/logout"
    access = PUBLIC
    body_types = ("application/x-www-form-urlencoded",)
    operations = describe(
        post=Operation(
            "End the sessions that a provider's logout token names",
            description="For OpenID providers: Back-Channel Logout 1.0.",
            status=200,
            problems={400: "The logout token is not valid."},
        )
    )

    async def post(self, request: web.Request, provider: str) -> web.Response:
        """Verify the logout token and end sessions."""
        services = request.app[SERVICES]
        found = require_provider(services.oidc, provider)
        given = (await request_form(request)).get("logout_token", "")
        now_ms = services.clock_ms()
        try:
            target = await found.logout_target(given)
            catalog = await services.catalog.get()
            # By provider: another one may use the same id.
            name = f"logout {found.config.id} {target.token_id}"
            if not await use_once(catalog, name, target.until_ms, now_ms):
                raise OidcError("reused", "This logout token was used before.")
        except OidcError as error:
            count(found, f"logout-{error.reason}")
            raise ProblemError(
                STATUSES.get(error.reason, HTTPStatus.BAD_REQUEST), str(error)
            ) from None
        with all_tenants():
            await self._end(request, found, target)
        count(found, "logout-ok")
        return web.Response(status=HTTPStatus.OK, headers=NO_STORE)

    async def _end(self, request: web.Request, provider: Provider, target: LogoutTarget) -> None:
        services = request.app[SERVICES]
        catalog, now_ms = await services.catalog.get(), services.clock_ms()
        async with catalog.transaction() as connection:
            ended = await log_out(connection, provider.config.issuer, target, now_ms)
            entry = origin_of(request).entry(
                now_ms,
                "session:end",
                f"provider:{provider.config.id}",
                after={"sessions": ended, "reason": "back-channel logout"},
            )
            await write_audit(connection, entry)


def require_provider(providers: OidcProviders, provider_id: str) -> Provider:
    """Return the provider of the path; 404 where none of this id is configured."""
    found = providers.get(provider_id)
    if found is None:
        raise not_found("There is no such provider to sign in by.")
    return found


async def request_form(request: web.Request) -> dict[str, str]:
    """Return a form's fields, each once; a field that is there twice is left out."""
    body = await read_body(request, MAX_LOGOUT_BODY)
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _network(request: web.Request) -> str:
    client = request.app[SERVICES].proxies.client_of(request)
    return limit_subject("network", network_of(client))


def _lists(query: MultiMapping[str]) -> dict[str, list[str]]:
    return {name: query.getall(name) for name in set(query)}


def _no_access(provider: Provider, statement: ProviderStatement) -> str:
    groups = len(statement.groups)
    named = "no group" if not groups else "1 group" if groups == 1 else f"{groups} groups"
    return (
        f"{provider.config.name} knows you as {statement.identity.name} and names {named} of "
        "yours, none with access to Vigil. Ask your administrator to add you to one that has."
    )


async def _audit_refusal(request: web.Request, provider: Provider, error: OidcError) -> None:
    """Record a sign-in that was refused; the person's answer does not depend on it."""
    services = request.app[SERVICES]
    entry = origin_of(request).entry(
        services.clock_ms(),
        "session:create",
        f"provider:{provider.config.id}",
        after={"reason": error.reason},
        outcome="refused",
    )
    try:
        with all_tenants():
            await record_audit(await services.catalog.get(), entry)
    except VigilError as failure:
        log.error("a refused sign-in is not in the audit log: %s", failure)


def failed(request: web.Request, provider: Provider, error: OidcError) -> web.Response:
    """Count a sign-in that failed, and return a page that says why, or a problem."""
    count(provider, error.reason)
    log.info("sign-in by %s failed: %s: %s", provider.config.id, error.reason, error)
    status = STATUSES.get(error.reason, HTTPStatus.BAD_REQUEST)
    if "text/html" not in request.headers.get("Accept", ""):
        return problem_response(ProblemError(status, str(error)))
    services = request.app[SERVICES]
    at = datetime.fromtimestamp(services.clock_ms() / 1_000, UTC)
    page = PAGE.format(
        text=html.escape(str(error)),
        home=html.escape(services.oidc.public_url + "/", quote=True),
        note=html.escape(
            f"{provider.config.name} · {error.reason} · {at:%Y-%m-%d %H:%M:%S} UTC · "
            f"{request_id(request)}"
        ),
    )
    return web.Response(text=page, content_type="text/html", status=status, headers=NO_STORE)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Not signed in · Vigil</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 16px/1.5 system-ui, sans-serif;
max-width: 36rem; margin: 15vh auto 0; padding: 0 1.5rem; overflow-wrap: anywhere }}
a {{ display: inline-block; padding: .5rem 1rem; border: 1px solid; border-radius: 6px }}
small {{ opacity: .7 }}</style>
<h1>You are not signed in</h1>
<p role="alert">{text}</p>
<p><a href="{home}">Sign in again</a></p>
<p><small>For your administrator: {note}</small></p>
</html>
"""
