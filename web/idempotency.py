"""The Idempotency-Key of a POST: sent again, it is answered as before and does nothing.

middleware   claims the key ──► handler ──► keeps the answer, or releases the key
view         keep_answer(connection, request, response)   in the transaction of its act

A view that calls keep_answer does its act exactly once, also where its worker is killed. Without
that call, the answer is kept after the handler: a worker that is killed between the two leaves an
act that the next request repeats.

Only answers of success are kept. An error changed nothing, so the same request is tried again.
"""

import hmac
import logging
import re
from http import HTTPStatus

from aiohttp import web
from prometheus_client import Counter

from domain.errors import StoreError
from stores.catalog import idempotency
from stores.catalog.idempotency import MAX_BODY, Claim, KeptAnswer, LostClaimError
from stores.catalog.pool import Connection
from streams.metrics import REGISTRY
from web.middleware import PRINCIPAL
from web.problems import ProblemError, bad_request
from web.query import read_body
from web.services import SERVICES
from web.types import Handler

HEADER = "Idempotency-Key"
MAX_REQUEST = 1 << 20
OWN_ACCOUNT = "/api/v1/session"
"""Below it the header is ignored: answers hold secrets, and requests passwords."""
KEPT_HEADERS = ("Content-Type", "ETag", "Location", "Cache-Control")
_KEY = re.compile(r'"?([\x21\x23-\x7e]{1,255})"?')

CLAIM: web.RequestKey[Claim] = web.RequestKey("idempotency-claim", Claim)
_KEPT: web.RequestKey[bool] = web.RequestKey("idempotency-kept", bool)
_SECRET: web.ResponseKey[bool] = web.ResponseKey("shown-once", bool)

REPLAYS = Counter(
    "vigil_idempotent_requests",
    "Requests with an Idempotency-Key. outcome: new, replayed, or why it was refused",
    ("outcome",),
    registry=REGISTRY,
)
log = logging.getLogger(__name__)


def shown_once(response: web.Response) -> web.Response:
    """Mark an answer that holds a secret: it is sent, and not kept."""
    response[_SECRET] = True
    return response


async def keep_answer(connection: Connection, request: web.Request, response: web.Response) -> None:
    """Keep the answer of a request's act, in the open transaction of that act.

    Does nothing where the request has no Idempotency-Key.
    """
    claim = request.get(CLAIM)
    if claim is None or request.get(_KEPT):
        return
    await idempotency.keep_answer(connection, claim, _kept(response))
    request[_KEPT] = True


@web.middleware
async def answer_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Carry out a POST with an Idempotency-Key once; see the module."""
    who = request.get(PRINCIPAL)
    is_own_account = request.path.startswith(OWN_ACCOUNT)  # passwords, cookies, second factors
    if request.method != "POST" or who is None or HEADER not in request.headers or is_own_account:
        return await handler(request)
    outcome = await _claim(request, who.principal.id)
    if isinstance(outcome, KeptAnswer):
        REPLAYS.labels("replayed").inc()
        return _replay(outcome)
    if not isinstance(outcome, Claim):
        REPLAYS.labels(outcome.replace(" ", "-")).inc()
        raise _problem(outcome)
    REPLAYS.labels("new").inc()
    request[CLAIM] = outcome
    return await _carry_out(request, handler, outcome)


async def _claim(request: web.Request, principal: str) -> idempotency.Outcome:
    key = _KEY.fullmatch(request.headers[HEADER].strip())
    if key is None or len(request.headers.getall(HEADER)) > 1:
        raise bad_request(
            f"{HEADER}: send one of 1 to 255 visible ASCII characters, such as a UUID."
        )
    body = await read_body(request, MAX_REQUEST)
    services = request.app[SERVICES]
    # With a secret of ours: who reads the catalog cannot try passwords that a body may hold.
    secret = services.settings.session_secret.get_secret_value().encode()
    digest = hmac.new(secret, b"idempotency ", "sha256")
    for part in (request.method.encode(), request.raw_path.encode(), body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return await idempotency.claim_key(
        await services.catalog.get(), principal, key[1], digest.digest(), services.clock_ms()
    )


async def _carry_out(request: web.Request, handler: Handler, claim: Claim) -> web.StreamResponse:
    catalog = await request.app[SERVICES].catalog.get()
    try:
        response = await handler(request)
    except LostClaimError:
        raise _problem("in progress") from None
    except BaseException:
        # Had the answer been kept, the act could have been committed: then the key stays.
        await _release(request, claim)
        raise
    if not isinstance(response, web.Response) or response.status >= HTTPStatus.BAD_REQUEST:
        await _release(request, claim)
    elif not request.get(_KEPT):
        try:
            async with catalog.transaction() as connection:
                await keep_answer(connection, request, response)
        except (StoreError, LostClaimError) as error:
            log.warning("%s %s: the answer is not kept: %s", request.method, request.path, error)
    return response


async def _release(request: web.Request, claim: Claim) -> None:
    """Release the key. The row of a kept answer that was committed is left as it is."""
    try:
        await idempotency.release_key(await request.app[SERVICES].catalog.get(), claim)
    except StoreError as error:
        log.warning("%s %s: its key is not released: %s", request.method, request.path, error)


def _kept(response: web.Response) -> KeptAnswer:
    body = response.body if isinstance(response.body, bytes) else b""
    hidden = response.get(_SECRET, False) or len(body) > MAX_BODY
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return KeptAnswer(response.status, headers, None if hidden else body)


def _replay(answer: KeptAnswer) -> web.Response:
    if answer.body is None:
        headers = {n: v for n, v in answer.headers.items() if n == "Location"}
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "This request was carried out before. Its answer is not kept: it held a secret, or "
            "was too long.",
            headers,
        )
    headers = {**answer.headers, "Idempotency-Replayed": "true"}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _problem(outcome: str) -> ProblemError:
    if outcome == "other request":
        return ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"This {HEADER} was used for another request. Use a new one for each act.",
        )
    if outcome == "too many":
        return ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"You used {idempotency.MAX_KEYS} keys within 24 hours. Try again later, or send "
            f"requests without {HEADER}.",
            {"Retry-After": "3600"},
        )
    return ProblemError(
        HTTPStatus.CONFLICT,
        "This request is being answered already. Try again in a moment.",
        {"Retry-After": "2"},
    )
