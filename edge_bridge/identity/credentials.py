"""The AWS credentials of an enrolled device: of an hour, for its own site, by its certificate.

not enrolled                      the environment, or AWS's own chain of files and roles
enrolled                          the devices' address gives them
enrolled, and it gives none       as where it is not enrolled

CredentialCache (stores/aws_credentials.py) asks before they expire, and keeps them over an outage.
"""

import logging

from domain.errors import CredentialsError, StoreError
from domain.times import utc_ms
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.server import DeviceServer, EnrolmentRefusedError, NotServedError
from stores.aws_credentials import AwsCredentials, CredentialSource, read_credentials

PATH = "/device/v1/credentials"
log = logging.getLogger(__name__)


class DeviceCredentials:
    """Reads the credentials of this device."""

    def __init__(self, identity: DeviceIdentity, own: CredentialSource = read_credentials) -> None:
        """`own`: reads the credentials that the device has without an identity."""
        self._identity = identity
        self._own = own
        self._uses_own = False

    async def read(self) -> AwsCredentials:
        """Return credentials. Raises CredentialsError, StoreError."""
        identity = self._identity
        if identity.state == "none" or identity.url is None:
            return await self._own()
        context = identity.ssl_context()
        if context is None:
            raise StoreError("the certificate of this device has expired; it is being renewed.")
        try:
            fields = await DeviceServer(identity.url).post(PATH, {}, context)
        except NotServedError:
            if not self._uses_own:
                log.info("the cloud gives no credentials: this device uses its own")
            self._uses_own = True
            return await self._own()
        except EnrolmentRefusedError as error:
            raise CredentialsError(str(error)) from error
        self._uses_own = False
        try:
            # This device's clock may differ from the server's.
            life_ms = int(fields["expires_ms"]) - int(fields["now_ms"])
            return AwsCredentials(
                str(fields["access_key_id"]),
                str(fields["secret_access_key"]),
                str(fields["session_token"]),
                utc_ms() + life_ms,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{identity.url} sends no credentials.") from error
