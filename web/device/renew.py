"""Renewal: a request that the device's key signs gets a certificate of the next generation.

No client certificate is needed, so that an expired one does not prevent a renewal. What each
request gets is decided in domain/device_renewal.py.
"""

import base64
import binascii
import logging
from http import HTTPStatus

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import Counter

from domain.device_identity import Device
from domain.device_renewal import IssuedGeneration, decide_renewal, renewal_bytes
from domain.times import format_ms
from stores.catalog.audit import write_audit
from stores.catalog.devices import EnrolledDevice, load_some_devices, lock_device, set_device_state
from stores.catalog.enrolment import store_renewal
from stores.catalog.pool import Connection
from stores.catalog.web_catalog import all_tenants
from stores.device_certificate import CertificateError, DeviceCertificate
from streams.metrics import REGISTRY
from web.bodies import json_answer, read_json
from web.device.enrol import MAX_BODY, device_origin
from web.device.schemas import IssuedAnswer, RenewalRequest
from web.device.services import DEVICE_SERVICES, DeviceServices
from web.problems import ProblemError, bad_request

RENEWALS = Counter(
    "vigil_device_renewals",
    "Renewals of devices' certificates. outcome: renewed, repeated, locked-now, locked, revoked, "
    "expired, unknown, forged",
    ("outcome",),
    registry=REGISTRY,
)
log = logging.getLogger(__name__)

_TEXTS = {
    "locked": "The identity of {device} is locked: {why} Find the other device. Then enrol this "
    "one again with `vigil device code {device}`, or unlock it: "
    "`vigil device unlock {device}`.",
    "revoked": "{device} was revoked. To enrol it again, make a code: "
    "`vigil device code {device}`.",
    "expired": "The certificate of {device} expired at {expired}, more than 30 days ago. Enrol it "
    "again: `vigil device code {device}`.",
    "unknown": "{device} was never given the generation {generation}. Enrol it again: "
    "`vigil device code {device}`.",
}


async def renew(request: web.Request) -> web.Response:
    """Answer POST /device/v1/renew."""
    services = request.app[DEVICE_SERVICES]
    services.attempts.check(request)
    try:
        given = await read_json(request, RenewalRequest, MAX_BODY)
        key = await _verified_key(services, given)
        return await _renew(services, request, given, key)
    except ProblemError:
        services.attempts.failed(request)
        raise


async def _verified_key(services: DeviceServices, given: RenewalRequest) -> str:
    """Return the id of the device's key that signed a request; ProblemError (403): none did."""
    with all_tenants():
        async with (await services.catalog.get()).transaction() as connection:
            known = (await load_some_devices(connection, [given.device])).get(given.device)
    key = None if known is None else _signing_key(known, given)
    if key is None:
        RENEWALS.labels("forged").inc()
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"No device {given.device} with this key is enrolled.",
            kind="device-unknown",
        )
    return key


def _signing_key(known: Device, given: RenewalRequest) -> str | None:
    try:
        signature = base64.b64decode(given.signature + "==", altchars=b"-_", validate=True)
    except binascii.Error:
        raise bad_request("signature: this is not base64url.", "invalid-body") from None
    signed = renewal_bytes(given.device, given.generation, given.renewal_id)
    for name, key in known.keys.items():
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, signed)
        except InvalidSignature:
            continue
        return name
    return None


async def _renew(
    services: DeviceServices, request: web.Request, given: RenewalRequest, key: str
) -> web.Response:
    now_ms = services.clock_ms()
    problem: ProblemError | None = None
    answer: tuple[str, int] | None = None
    with all_tenants():
        async with (await services.catalog.get()).transaction() as connection:
            device = await lock_device(connection, given.device)
            assert device is not None, "devices are not deleted while their tenant exists"
            if device.key != key:
                problem = _enrolled_again(given.device)
                outcome = "unknown"
            else:
                outcome = decide_renewal(
                    IssuedGeneration(
                        device.state,
                        device.generation,
                        device.renewal_id,
                        device.expires_ms,
                        device.can_rejoin,
                    ),
                    given.generation,
                    given.renewal_id,
                    now_ms,
                    is_proven=_is_proven(services, given, key),
                )
                if outcome == "issue":
                    answer = await _issue(services, connection, device, given, now_ms)
                elif outcome == "repeat":
                    answer = device.certificate, device.generation
                else:
                    if outcome == "lock":
                        why = await _lock(connection, request, device, given, now_ms)
                    else:
                        why = device.locked_why or ""
                    problem = _problem(outcome, device, given, why)
    names = {"issue": "renewed", "repeat": "repeated", "lock": "locked-now"}
    RENEWALS.labels(names.get(outcome, outcome)).inc()
    if problem is not None:
        log.warning("renewal of %s refused: %s", given.device, problem.detail)
        raise problem
    assert answer is not None
    certificate, generation = answer
    return json_answer(
        IssuedAnswer(
            device=given.device, generation=generation, certificate=certificate, now_ms=now_ms
        )
    )


def _is_proven(services: DeviceServices, given: RenewalRequest, key: str) -> bool:
    """Say whether a request shows a certificate of ours with the generation that it names."""
    if given.certificate is None or not services.ca.has_issued(given.certificate):
        return False
    try:
        shown = DeviceCertificate.from_pem(given.certificate.encode())
    except CertificateError:
        return False
    return (shown.device, shown.generation, shown.key) == (given.device, given.generation, key)


async def _issue(
    services: DeviceServices,
    connection: Connection,
    device: EnrolledDevice,
    given: RenewalRequest,
    now_ms: int,
) -> tuple[str, int]:
    generation = max(device.generation, given.generation) + 1
    known = (await load_some_devices(connection, [device.id]))[device.id]
    issued = await services.issue(
        known.keys[device.key].public_key,
        device.id,
        generation,
        now_ms,
    )
    await store_renewal(
        connection, device, generation, issued=issued, renewal_id=given.renewal_id, now_ms=now_ms
    )
    return issued.pem, generation


async def _lock(
    connection: Connection,
    request: web.Request,
    device: EnrolledDevice,
    given: RenewalRequest,
    now_ms: int,
) -> str:
    """Lock the identity of a device that two hold; return why, for people."""
    why = (
        f"two devices hold it. Generation {device.generation} was given at "
        f"{format_ms(device.renewed_ms)}. At {format_ms(now_ms)} a device at "
        f"{request.remote or 'an unknown address'} still had generation {given.generation}."
    )
    log.error("the identity of %s is locked: %s", device.id, why)
    await set_device_state(connection, device, "locked", now_ms, why)
    entry = device_origin(request, device.id).entry(
        now_ms,
        "device:lock",
        device.id,
        before=device.audited(),
        after={"state": "locked", "shown_generation": given.generation},
    )
    await write_audit(connection, entry)
    return why


def _enrolled_again(device: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        f"{device} was enrolled again with another key. Enrol this one with a name of its own.",
        kind="device-unknown",
    )


def _problem(outcome: str, device: EnrolledDevice, given: RenewalRequest, why: str) -> ProblemError:
    state = "locked" if outcome == "lock" else outcome
    text = _TEXTS[state].format(
        device=device.id,
        why=why,
        expired=format_ms(device.expires_ms),
        generation=given.generation,
    )
    return ProblemError(HTTPStatus.FORBIDDEN, text, kind=f"device-{state}")
