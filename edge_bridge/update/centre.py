"""The devices' address as the update agent asks it."""

from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from domain.errors import StoreError
from domain.fleet.messages import UPDATE_PATH, DeviceUpdateReport, UpdateAnswer
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.server import DeviceServer


class UpdateCentre(Protocol):
    """Who says what to install."""

    async def exchange(self, report: DeviceUpdateReport) -> UpdateAnswer:
        """Report, and return what is wanted. StoreError: it does not answer."""
        ...


class DeviceUpdateCentre:
    """Asks with the recorder's certificate, which the recorder renews."""

    def __init__(self, identity_folder: Path) -> None:
        self._folder = identity_folder

    async def exchange(self, report: DeviceUpdateReport) -> UpdateAnswer:
        """Read the certificate again, then ask: the recorder may have renewed it."""
        identity = DeviceIdentity(self._folder)
        context = identity.ssl_context()
        if identity.url is None or context is None:
            raise StoreError(
                identity.detail or "this device is not enrolled, or its certificate has expired."
            )
        body = report.model_dump(mode="json")
        answer = await DeviceServer(identity.url).post(UPDATE_PATH, body, context)
        try:
            return UpdateAnswer.model_validate(answer)
        except ValidationError:
            raise StoreError(
                f"{identity.url} answers what this agent cannot read: it may be older than the "
                "centre allows."
            ) from None
