"""Keeps the certificate of this device new, and learns whether the cloud accepts its identity.

    half of the certificate's life ──► renew, by a request that the key signs
    each minute                    ──► ask for the state, with the certificate
    locked, revoked, expired       ──► try to renew each minute: an unlocked identity works again

Nothing here stops recording. Only uploads stop while the identity is refused.
"""

import asyncio
import base64
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from domain.backoff import CENTRED_JITTER, Backoff
from domain.device_renewal import renewal_bytes
from domain.errors import ConfigError, StoreError
from domain.events.edge import ClockTrust
from domain.times import utc_ms
from edge_bridge import metrics
from edge_bridge.identity.folder import IdentityFolder
from edge_bridge.identity.identity import REFUSED, DeviceIdentity, IdentityState
from edge_bridge.identity.server import (
    DeviceServer,
    EnrolmentRefusedError,
    WrongClockError,
    clock_problem,
)
from stores.device_certificate import CertificateError, DeviceCertificate

STATUS_S = 60.0
CHECK_S = 5.0
"""How often the folder is checked: an enrolment by the command is used without a restart."""
JITTER = 0.1
"""Of the certificate's life, earlier or later than its half."""
BACKOFF = Backoff(first_s=2.0, longest_s=300.0, jitter=CENTRED_JITTER)
_STATES: dict[str, IdentityState] = {
    "locked": "locked",
    "revoked": "revoked",
    "expired": "expired",
    "unknown": "revoked",  # enrolled again with another key, or unknown after all
}

log = logging.getLogger(__name__)


class IdentityRenewal:
    """Renews; `run` goes on until cancelled."""

    def __init__(
        self,
        identity: DeviceIdentity,
        root: Path,
        *,
        now_ms: Callable[[], int] = utc_ms,
        status_s: float = STATUS_S,
    ) -> None:
        """`now_ms`: UTC; `status_s`: seconds between two questions for the state."""
        self._identity = identity
        self._folder = IdentityFolder(root)
        self._now_ms = now_ms
        self._status_s = status_s
        self._jitter = random.uniform(-JITTER, JITTER)  # noqa: S311
        self._failures = 0
        self._seen = self._folder.stamp()
        self.problem = ""
        """Why the last request failed; empty: it did not."""
        self.clock_trust: ClockTrust = "unconfirmed"
        """Whether this device's clock agrees with the server's."""

    async def run(self) -> None:
        """Renew and ask until cancelled."""
        self._publish()
        wait_s = 0.0
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            if (stamp := self._folder.stamp()) != self._seen:
                self._seen = stamp
                await asyncio.to_thread(self._identity.reload)
                log.info("the identity of this device is read again: %s", self._identity.state)
                next_s = loop.time()
            if loop.time() >= next_s:
                wait_s = await self.step()
                self._seen = self._folder.stamp()
                next_s = loop.time() + wait_s
            self._publish()
            await asyncio.sleep(min(CHECK_S, max(next_s - loop.time(), 0.05)))

    def due_ms(self) -> int | None:
        """Return when the certificate is renewed, UTC; None: there is none."""
        certificate = self._identity.certificate
        if certificate is None:
            return None
        life_ms = certificate.not_after_ms - certificate.not_before_ms
        return certificate.half_ms + int(life_ms * self._jitter)

    async def step(self) -> float:
        """Do what is due; return after how many seconds to come again."""
        identity = self._identity
        due_ms = self.due_ms()
        if due_ms is None or identity.state in ("none", "damaged"):
            return CHECK_S
        try:
            if identity.state in REFUSED or self._now_ms() >= due_ms:
                await self._renew()
            else:
                await self._ask_state()
        except EnrolmentRefusedError as error:
            self._failures = 0
            self.problem = str(error)
            identity.refused(_STATES.get(error.code, "revoked"), str(error))
            return self._status_s
        except (StoreError, ConfigError, OSError) as error:
            if isinstance(error, WrongClockError):
                self.clock_trust = "wrong"
            text = str(error)
            if text != self.problem:
                log.error("the identity cannot be renewed: %s Recording goes on.", text)
            self.problem = text
            delay_s = BACKOFF.delay_s(self._failures, random.random())  # noqa: S311
            self._failures += 1
            return min(delay_s, self._status_s)
        self._failures = 0
        self.problem = ""
        due_s = ((self.due_ms() or 0) - self._now_ms()) / 1_000
        return min(self._status_s * random.uniform(0.8, 1.2), max(due_s, 0.1))  # noqa: S311

    async def _ask_state(self) -> None:
        identity = self._identity
        assert identity.url is not None
        if (context := identity.ssl_context()) is None:
            return
        try:
            answer = await DeviceServer(identity.url).get("/device/v1/status", context)
            self._compare_clocks(answer)
        except EnrolmentRefusedError as error:
            if error.code != "generation":
                raise
            # Another holder has renewed, or the catalog was restored: a renewal shows which.
            await self._renew()

    async def _renew(self) -> None:
        identity, folder = self._identity, self._folder
        device, url = identity.device, identity.url
        assert device is not None
        assert url is not None
        # The id is on the disk before it is sent: after a power cut the same request is asked.
        pending = await asyncio.to_thread(folder.pending_renewal, identity.generation)
        signature = identity.sign_bytes(renewal_bytes(device, pending.generation, pending.id))
        assert signature is not None
        body = {
            "device": device,
            "generation": pending.generation,
            "renewal_id": pending.id,
            "certificate": await asyncio.to_thread(folder.certificate_text),
            "signature": base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
        }
        context = identity.server_context()
        answer = await DeviceServer(url).post("/device/v1/renew", body, context)
        self._compare_clocks(answer)
        try:
            pem = str(answer["certificate"])
            certificate = DeviceCertificate.from_pem(pem.encode())
        except (KeyError, CertificateError):
            raise StoreError(f"{url} sends no certificate.") from None
        before = identity.certificate
        if (
            before is None
            or (certificate.device, certificate.key) != (device, before.key)
            or certificate.generation <= pending.generation
        ):
            raise StoreError(f"{url} sends a certificate that is not the next of this device.")
        await asyncio.to_thread(folder.store_certificate, pem)
        identity.renewed(certificate)
        self._jitter = random.uniform(-JITTER, JITTER)  # noqa: S311
        log.info("the certificate is renewed, generation %d", certificate.generation)

    def _compare_clocks(self, answer: Mapping[str, Any]) -> None:
        """Note whether the server's time, in an answer, is this device's."""
        server_ms = answer.get("now_ms")
        if isinstance(server_ms, int):
            wrong = clock_problem(server_ms, self._now_ms())
            self.clock_trust = "agreed" if wrong is None else "wrong"

    def _publish(self) -> None:
        identity = self._identity
        certificate = identity.certificate
        metrics.IDENTITY_EXPIRES.set(0 if certificate is None else certificate.not_after_ms / 1_000)
        for state in ("none", "enrolled", *REFUSED, "damaged"):
            metrics.IDENTITY.labels(state).set(state == identity.state)
