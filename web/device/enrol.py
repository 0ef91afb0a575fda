"""Enrolment: a code and a certificate request become a device with a certificate.

The code's row is locked, so that of two devices with one code one is enrolled. The same code with
the same key gets the same answer again: an answer may be lost.
"""

import base64
import logging
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import Counter

from domain.audit import AuditOrigin
from domain.device_identity import key_id
from domain.enrolment_code import MAX_FAILURES, code_hash
from domain.errors import InvalidTextError
from domain.times import format_ms
from stores.catalog.audit import write_audit
from stores.catalog.config_keys import newest_config_key
from stores.catalog.devices import EnrolledDevice, lock_device, lock_device_name
from stores.catalog.enrolment import (
    EnrolmentCode,
    count_code_failure,
    device_of_key,
    lock_code,
    store_enrolment,
)
from stores.catalog.pool import Connection
from stores.catalog.web_catalog import all_tenants
from streams.metrics import REGISTRY
from web.bodies import json_answer, read_json
from web.device.schemas import EnrolmentAnswer, EnrolmentRequest
from web.device.services import DEVICE_SERVICES, DeviceServices
from web.problems import ProblemError, bad_request

MAX_BODY = 16 << 10
ENROLMENTS = Counter(
    "vigil_device_enrolments",
    "Enrolments of devices by a code. outcome: enrolled, repeated, refused",
    ("outcome",),
    registry=REGISTRY,
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Granted:
    """What a device gets."""

    certificate: str
    generation: int
    config_key: bytes | None
    """Public key of configurations, raw."""
    is_repeated: bool = False


async def enrol(request: web.Request) -> web.Response:
    """Answer POST /device/v1/enrol."""
    services = request.app[DEVICE_SERVICES]
    services.attempts.check(request)
    try:
        given = await read_json(request, EnrolmentRequest, MAX_BODY)
        public_key = _public_key(given.csr)
        result = await _enrol(services, request, given, public_key)
    except ProblemError:
        services.attempts.failed(request)
        ENROLMENTS.labels("refused").inc()
        raise
    if isinstance(result, str):
        services.attempts.failed(request)
        ENROLMENTS.labels("refused").inc()
        log.warning("enrolment of %s from %s refused: %s", given.device, request.remote, result)
        raise ProblemError(HTTPStatus.FORBIDDEN, result, kind="enrolment-refused")
    ENROLMENTS.labels("repeated" if result.is_repeated else "enrolled").inc()
    log.info("%s is enrolled, generation %d", given.device, result.generation)
    key = result.config_key
    return json_answer(
        EnrolmentAnswer(
            device=given.device,
            generation=result.generation,
            certificate=result.certificate,
            now_ms=services.clock_ms(),
            ca=services.ca.certificate_pem,
            config_key=None if key is None else base64.b64encode(key).decode(),
        )
    )


def _public_key(csr: str) -> bytes:
    """Return the key of a certificate request that it has signed; ProblemError (400)."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        key = request.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise bad_request(
                "csr: the key must be Ed25519, as `vigil edge enrol` makes it.", "invalid-body"
            )
        if not request.is_signature_valid:
            raise bad_request("csr: its signature is not of its key.", "invalid-body")
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise bad_request(
            "csr: this is not a certificate request in PEM.", "invalid-body"
        ) from None
    return key.public_bytes_raw()


async def _enrol(
    services: DeviceServices, request: web.Request, given: EnrolmentRequest, public_key: bytes
) -> _Granted | str:
    """Enrol in one transaction; return why not, where the code does not allow it."""
    try:
        hashed = code_hash(given.code)
    except InvalidTextError as error:
        return str(error)
    now_ms = services.clock_ms()
    with all_tenants():
        async with (await services.catalog.get()).transaction() as connection:
            code = await lock_code(connection, hashed)
            if code is None:
                return "This code is unknown. Make a new one with `vigil device code SITE`."
            if (refusal := _refusal(code, given.device, now_ms)) is not None:
                await count_code_failure(connection, code)
                return refusal
            await lock_device_name(connection, given.device)  # of two of one name, one is new
            before = await lock_device(connection, given.device)
            if code.used_ms is not None:
                config_key = await newest_config_key(connection)
                return _repeated(code, given.device, before, public_key, config_key)
            if before is not None and code.device is None:
                await count_code_failure(connection, code)
                return (
                    f"{given.device} is enrolled already. To enrol it again, make a code for it: "
                    f"`vigil device code {given.device}`."
                )
            if (owner := await device_of_key(connection, key_id(public_key))) is not None:
                return f"The key is or was in use by {owner}. Make a new one."
            return await _store(services, connection, request, code, before, given, public_key)


def _refusal(code: EnrolmentCode, device: str, now_ms: int) -> str | None:
    """Return why a code does not enrol a device at all; None: it may."""
    if code.failures >= MAX_FAILURES:
        return "This code was tried too often for something else. Make a new one."
    if code.site != device.rsplit("/", 1)[0]:
        return f"This code is for the site {code.site}, not for {device}."
    if code.device not in (None, device):
        return f"This code is for {code.device}, not for {device}."
    if code.used_ms is None and code.expires_ms <= now_ms:
        return f"This code expired at {format_ms(code.expires_ms)}. Make a new one."
    return None


def _repeated(
    code: EnrolmentCode,
    device: str,
    before: EnrolledDevice | None,
    public_key: bytes,
    config_key: bytes | None,
) -> _Granted | str:
    """Return the answer of an enrolment again, to the key that it enrolled."""
    if (
        before is not None
        and code.used_by == device
        and before.state == "enrolled"
        and before.key == before.renewal_id == key_id(public_key)
    ):
        return _Granted(before.certificate, before.generation, config_key, is_repeated=True)
    assert code.used_ms is not None
    return (
        f"This code was used at {format_ms(code.used_ms)}, by {code.used_by}. Each code enrols one "
        "device. If that was not yours, revoke the device; then make a new code."
    )


async def _store(  # noqa: PLR0917
    services: DeviceServices,
    connection: Connection,
    request: web.Request,
    code: EnrolmentCode,
    before: EnrolledDevice | None,
    given: EnrolmentRequest,
    public_key: bytes,
) -> _Granted:
    now_ms = services.clock_ms()
    generation = 1 if before is None else before.generation + 1
    issued = await services.issue(public_key, given.device, generation, now_ms)
    await store_enrolment(
        connection,
        code,
        given.device,
        before=before,
        public_key=public_key,
        issued=issued,
        now_ms=now_ms,
    )
    entry = device_origin(request, given.device).entry(
        now_ms,
        "device:enrol",
        given.device,
        before=None if before is None else before.audited(),
        after={"generation": generation, "key": key_id(public_key), "code": code.id},
    )
    await write_audit(connection, entry)
    return _Granted(issued.pem, generation, await newest_config_key(connection))


def device_origin(request: web.Request, device: str) -> AuditOrigin:
    """Return the device as the actor of the audit log."""
    return AuditOrigin(actor=f"device:{device}", address=request.remote or "")
