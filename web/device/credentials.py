"""POST /device/v1/credentials: AWS credentials of an hour for the device that asks."""

import logging
from http import HTTPStatus

from aiohttp import web

from domain.errors import StoreError
from stores.aws_credentials import AwsCredentials
from web.device.middleware import DEVICE
from web.device.services import DEVICE_SERVICES
from web.problems import ProblemError

log = logging.getLogger(__name__)


async def give_credentials(request: web.Request) -> web.Response:
    """Return credentials for the site of the device. The certificate was checked before.

    404: this installation gives none, and the device uses its own.
    """
    services, device = request.app[DEVICE_SERVICES], request[DEVICE]
    if services.issuer is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "This installation gives no credentials: VIGIL_DEVICE_ROLE_ARN is not set.",
        )
    try:
        found = await (await services.issuer.get()).issue(device.id)
    except StoreError as error:
        log.error("%s", error)
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "STS gives no credentials. The worker's log has the details.",
            {"Retry-After": "5"},
        ) from error
    return web.json_response(
        credential_fields(found, services.clock_ms()), headers={"Cache-Control": "no-store"}
    )


def credential_fields(found: AwsCredentials, now_ms: int) -> dict[str, str | int | None]:
    """Return the answer. `now_ms`: the server's time, for devices with another one."""
    return {
        "access_key_id": found.access_key_id,
        "secret_access_key": found.secret_access_key,
        "session_token": found.session_token,
        "expires_ms": found.expires_ms,
        "now_ms": now_ms,
    }
