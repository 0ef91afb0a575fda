"""Credentials of one device, by STS: AssumeRole with a policy of that device's own."""

import json
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from domain.device_policy import LIFE_S, device_policy, session_name
from domain.errors import StoreError
from stores.aws import AwsService
from stores.aws_credentials import AwsCredentials
from stores.aws_endpoint import AwsEndpoint

_CONNECTIONS = 8


class DeviceCredentialIssuer:
    """Gives credentials to devices. An async context manager, safe for many tasks at once."""

    def __init__(
        self,
        endpoint: AwsEndpoint,
        *,
        role_arn: str,
        bucket: str,
        queue_arn: str,
        kms_key_arns: tuple[str, ...] = (),
    ) -> None:
        """`role_arn`: the role that devices get, limited by their policies."""
        self._sts = _Sts(endpoint)
        self._role_arn = role_arn
        self._bucket = bucket
        self._queue_arn = queue_arn
        self._kms_key_arns = kms_key_arns

    async def __aenter__(self) -> Self:
        await self._sts.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._sts.__aexit__(kind, error, tb)

    async def issue(self, device: str) -> AwsCredentials:
        """Return credentials of an hour for tenant/site/device. Raises StoreError."""
        policy = device_policy(device, self._bucket, self._queue_arn, self._kms_key_arns)
        tenant, site, _ = device.split("/")
        answer = await self._sts.assume_role(
            RoleArn=self._role_arn,
            RoleSessionName=session_name(device),
            Policy=json.dumps(policy, separators=(",", ":")),
            DurationSeconds=LIFE_S,
            # The role's own policy can name the same prefix by these tags.
            Tags=[{"Key": "tenant", "Value": tenant}, {"Key": "site", "Value": site}],
        )
        found = answer["Credentials"]
        return AwsCredentials(
            found["AccessKeyId"],
            found["SecretAccessKey"],
            found["SessionToken"],
            round(found["Expiration"].timestamp() * 1000),
        )


class _Sts(AwsService):
    """The client of STS."""

    def __init__(self, endpoint: AwsEndpoint) -> None:
        super().__init__("sts", endpoint, _CONNECTIONS)

    async def assume_role(self, **arguments: Any) -> Any:
        """Call AssumeRole. Raises StoreError."""
        try:
            return await self._client.assume_role(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise StoreError(
                f"STS gives no credentials for devices: {error}. Check VIGIL_DEVICE_ROLE_ARN and "
                "that this worker may assume that role."
            ) from error
