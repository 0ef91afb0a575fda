"""The AWS credentials of an enrolled device: of an hour, for its own site, by its certificate.

not enrolled                      the environment, or AWS's own chain of files and roles
enrolled                          the devices' address gives them
enrolled, and it gives none       as where it is not enrolled

CredentialCache (stores/aws_credentials.py) asks before they expire, and keeps them over an outage.
The newest are in the identity's folder too (0600). So a device that starts again goes on with those
that have not expired. It needs no cloud for that, and many that start do not ask at once.
"""

import asyncio
import logging

from domain.errors import CredentialsError, StoreError
from domain.times import utc_ms
from edge_bridge.identity.folder import IdentityFolder
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.server import DeviceServer, EnrolmentRefusedError, NotServedError
from stores.aws_credentials import (
    RENEW_BEFORE_EXPIRY_MS,
    AwsCredentials,
    CredentialSource,
    read_credentials,
)

PATH = "/device/v1/credentials"
MAX_LIFE_MS = 3_600_000
"""Of credentials that were kept: what is valid for longer was kept under another clock."""
log = logging.getLogger(__name__)


class DeviceCredentials:
    """Reads the credentials of this device."""

    def __init__(
        self,
        identity: DeviceIdentity,
        own: CredentialSource = read_credentials,
        *,
        folder: IdentityFolder | None = None,
    ) -> None:
        """`own`: reads the credentials that the device has without an identity.

        `folder`: where the newest ones are kept for the next start. None: nowhere.
        """
        self._identity = identity
        self._own = own
        self._folder = folder
        self._uses_own = False
        self._has_asked = False
        """Kept ones are used at the start only: S3 may have refused those in use."""

    async def read(self) -> AwsCredentials:
        """Return credentials. Raises CredentialsError, StoreError."""
        identity = self._identity
        if identity.state == "none" or identity.url is None:
            return await self._own()
        kept = None if self._has_asked else await asyncio.to_thread(self._kept)
        self._has_asked = True
        if kept is not None and (kept.expires_ms or 0) - utc_ms() > RENEW_BEFORE_EXPIRY_MS:
            log.info("the credentials of before the start are used")
            return kept
        try:
            return await self._ask(identity.url)
        except CredentialsError:
            raise
        except StoreError as error:
            if kept is None:
                raise
            log.warning("the credentials of before the start are used: %s", error)
            return kept

    async def _ask(self, url: str) -> AwsCredentials:
        """Ask the devices' address, and keep what it gives. Raises CredentialsError, StoreError."""
        identity = self._identity
        context = identity.ssl_context()
        if context is None:
            raise StoreError("the certificate of this device has expired; it is being renewed.")
        try:
            fields = await DeviceServer(url).post(PATH, {}, context)
        except NotServedError:
            if not self._uses_own:
                log.info("the cloud gives no credentials: this device uses its own")
            self._uses_own = True
            return await self._own()
        except EnrolmentRefusedError as error:
            await asyncio.to_thread(self._keep, None)
            raise CredentialsError(str(error)) from error
        self._uses_own = False
        try:
            # This device's clock may differ from the server's.
            life_ms = int(fields["expires_ms"]) - int(fields["now_ms"])
            found = AwsCredentials(
                str(fields["access_key_id"]),
                str(fields["secret_access_key"]),
                str(fields["session_token"]),
                utc_ms() + life_ms,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{url} sends no credentials.") from error
        await asyncio.to_thread(self._keep, found)
        return found

    def _kept(self) -> AwsCredentials | None:
        """Return the credentials of before the start that this identity may still use."""
        fields = {} if self._folder is None else self._folder.load_credentials()
        identity = self._identity
        try:
            found = AwsCredentials(
                str(fields["access_key_id"]),
                str(fields["secret_access_key"]),
                str(fields["session_token"]),
                int(fields["expires_ms"]),
            )
            is_own = (fields["device"], fields["key"]) == (identity.device, identity.key_id)
            left_ms = int(fields["expires_ms"]) - utc_ms()
        except (KeyError, TypeError, ValueError):
            return None
        if identity.state != "enrolled" or not is_own or not 0 < left_ms <= MAX_LIFE_MS:
            return None
        return found

    def _keep(self, found: AwsCredentials | None) -> None:
        """Keep credentials for the next start, or forget those that are kept."""
        if self._folder is None:
            return
        fields = (
            None
            if found is None
            else {
                "device": self._identity.device,
                "key": self._identity.key_id,
                "access_key_id": found.access_key_id,
                "secret_access_key": found.secret_access_key,
                "session_token": found.session_token,
                "expires_ms": found.expires_ms,
            }
        )
        try:
            self._folder.store_credentials(fields)
        except OSError as error:
            log.warning("the credentials are not kept for the next start: %s", error.strerror)
