"""/api/v1/session/…: a person's own password and second factor.

Each act asks for the password again: a browser that was left open must not take over the account.
Each ends the person's other sessions and gives this one a new cookie.
"""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.audit import tenant_of
from domain.caller import Caller
from stores.catalog.audit import write_audit
from stores.catalog.pool import Connection
from stores.catalog.sessions import end_sessions_of_users, renew_session
from stores.catalog.sign_in import (
    Account,
    confirm_totp,
    get_account,
    remove_totp,
    start_totp,
    use_totp_step,
)
from stores.catalog.users import set_password
from stores.catalog.web_catalog import all_tenants
from web.access import ENROLLING, SIGNED_IN
from web.audit import origin_of
from web.bodies import NO_STORE, json_answer, read_json
from web.cookies import set_device_cookie, set_session_cookie
from web.middleware import PRINCIPAL, SESSION_PATH
from web.operations import Operation, describe
from web.passwords import new_password_problem
from web.problems import ProblemError
from web.schemas.session import (
    PasswordChange,
    PasswordProof,
    RecoveryCodes,
    TotpConfirmation,
    TotpEnrolment,
)
from web.services import SERVICES
from web.session import MAX_BODY, attempt_of
from web.sign_in import CheckedAccount
from web.totp import new_recovery_codes, new_totp_secret, totp_step, totp_uri

_PROBLEMS = {
    401: "The password or the code is wrong.",
    403: "An API key asks, or a user without a password.",
    429: "Too many attempts.",
}


class OwnPasswordView(View):
    """The password of the person who is signed in."""

    view_path = f"{SESSION_PATH}/password"
    access = MappingProxyType({"POST": SIGNED_IN})
    operations = describe(
        post=Operation(
            "Change your own password",
            description="All other sessions of the person end. This one gets a new cookie.",
            body=PasswordChange,
            problems={**_PROBLEMS, 422: "The new password may not be used; `detail` says why."},
        )
    )

    async def post(self, request: web.Request) -> web.Response:
        """Change the password."""
        given = await read_json(request, PasswordChange, MAX_BODY)
        services = request.app[SERVICES]
        with all_tenants():
            checked = await _check(request, given.password, given.totp)
            problem = new_password_problem(given.new_password, checked.account.login or "")
            if problem is not None:
                raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, problem)
            new_hash = await services.sign_in.passwords.hash(given.new_password)
            catalog = await services.catalog.get()
            async with catalog.transaction() as connection:
                await set_password(
                    connection,
                    checked.account.id,
                    new_hash,
                    services.clock_ms(),
                    keep_session=request[PRINCIPAL].session,
                )
                return await _finish(request, connection, checked, "user:password")


class OwnTotpView(View):
    """The second factor of the person who is signed in."""

    view_path = f"{SESSION_PATH}/totp"
    access = MappingProxyType({"POST": ENROLLING, "PUT": ENROLLING})
    operations = describe(
        post=Operation(
            "Begin to enrol a second factor",
            description="The secret goes into an authenticator app. `PUT` with a first code "
            "finishes the enrolment.",
            body=PasswordProof,
            answer=TotpEnrolment,
            problems={**_PROBLEMS, 409: "There is a second factor already: remove it first."},
        ),
        put=Operation(
            "Finish the enrolment of a second factor",
            description="From now on a sign-in needs a code. All other sessions of the person end.",
            body=TotpConfirmation,
            answer=RecoveryCodes,
            problems={
                401: "The code is wrong.",
                403: "An API key asks.",
                409: "No enrolment was begun.",
            },
        ),
    )

    async def post(self, request: web.Request) -> web.Response:
        """Return a new secret."""
        given = await read_json(request, PasswordProof, MAX_BODY)
        services = request.app[SERVICES]
        with all_tenants():
            checked = await _check(request, given.password, given.totp)
            secret = new_totp_secret()
            stored = services.sign_in.totp.encrypt(checked.account.id, secret)
            catalog = await services.catalog.get()
            async with catalog.transaction() as connection:
                await checked.finish(connection, services.clock_ms())
                if not await start_totp(connection, checked.account.id, stored):
                    raise ProblemError(
                        HTTPStatus.CONFLICT, "There is a second factor already. Remove it first."
                    )
        login = checked.account.login or checked.account.display_name
        return json_answer(TotpEnrolment(secret=secret, uri=totp_uri(secret, login)))

    async def put(self, request: web.Request) -> web.Response:
        """Confirm the enrolment; return the recovery codes."""
        given = await read_json(request, TotpConfirmation, MAX_BODY)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        with all_tenants():
            account = await _account(request)
            if account.pending_totp is None:
                raise ProblemError(HTTPStatus.CONFLICT, "Begin an enrolment first.")
            secret = services.sign_in.totp.decrypt(account.id, account.pending_totp)
            step = None if secret is None else totp_step(secret, given.totp, now_ms)
            if step is None:
                raise ProblemError(
                    HTTPStatus.UNAUTHORIZED,
                    "The code is not right. Check that the phone's clock is set by the network.",
                )
            codes = new_recovery_codes()
            catalog = await services.catalog.get()
            async with catalog.transaction() as connection:
                used = await use_totp_step(connection, account.id, step)
                if not used or not await confirm_totp(connection, account.id, codes, now_ms):
                    raise ProblemError(HTTPStatus.CONFLICT, "Begin an enrolment first.")
                response = json_answer(RecoveryCodes(recovery_codes=codes))
                await _renew(request, connection, account, response, "user:totp-add")
        services.sessions.forget()
        return response


class OwnTotpRemovalView(View):
    """The end of the second factor of the person who is signed in."""

    view_path = f"{SESSION_PATH}/totp/remove"
    access = MappingProxyType({"POST": SIGNED_IN})
    operations = describe(
        post=Operation(
            "Remove your own second factor",
            description="Its recovery codes are deleted too. Where the roles need one, a new one "
            "must be set up before anything else.",
            body=PasswordProof,
            problems=_PROBLEMS,
        )
    )

    async def post(self, request: web.Request) -> web.Response:
        """Remove it."""
        given = await read_json(request, PasswordProof, MAX_BODY)
        services = request.app[SERVICES]
        with all_tenants():
            checked = await _check(request, given.password, given.totp)
            catalog = await services.catalog.get()
            async with catalog.transaction() as connection:
                await remove_totp(connection, checked.account.id)
                return await _finish(request, connection, checked, "user:totp-remove")


def own_user(caller: Caller) -> str:
    """Return the id of the user who asks; raise ProblemError (403) for an API key."""
    if caller.user is None or caller.session is None:
        raise ProblemError(
            HTTPStatus.FORBIDDEN, "This is for users who signed in, not for API keys."
        )
    return caller.user


async def _account(request: web.Request) -> Account:
    user = own_user(request[PRINCIPAL])
    account = await get_account(await request.app[SERVICES].catalog.get(), user)
    if account is None or account.login is None or account.password_hash is None:
        raise ProblemError(HTTPStatus.FORBIDDEN, "You sign in without a password of this server.")
    return account


async def _check(request: web.Request, password: str, code: str | None) -> CheckedAccount:
    """Return the caller's account where the password and the code are right."""
    account = await _account(request)
    services = request.app[SERVICES]
    attempt = attempt_of(request, account.login or "", password, code)
    return await services.sign_in.check(await services.catalog.get(), attempt)


async def _finish(
    request: web.Request, connection: Connection, checked: CheckedAccount, action: str
) -> web.Response:
    """Answer 204 with new cookies, after the account was changed."""
    services = request.app[SERVICES]
    response = web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)
    device = await checked.finish(connection, services.clock_ms())
    set_device_cookie(request, response, device)
    await _renew(request, connection, checked.account, response, action)
    services.sessions.forget()
    return response


async def _renew(
    request: web.Request,
    connection: Connection,
    account: Account,
    response: web.Response,
    action: str,
) -> None:
    """End the other sessions, give this one a new cookie, write the audit log."""
    now_ms = request.app[SERVICES].clock_ms()
    session = request[PRINCIPAL].session
    assert session is not None
    await end_sessions_of_users(connection, [account.id], now_ms, session)
    token = await renew_session(connection, session)
    if token is not None:
        set_session_cookie(request, response, token)
    entry = origin_of(request).entry(
        now_ms, action, f"user:{account.id}", tenant=tenant_of([account.scope])
    )
    await write_audit(connection, entry)
