"""Distinguishes a missing bucket from a missing object where S3 does not say which one it is.

The response to HEAD has no body: 404 without a code. Where the bucket is missing, no object may be
taken for missing: everything would seem to be lost.
"""

import time
from collections.abc import Awaitable, Callable

from stores.aws_errors import NO_BUCKET, store_error

KNOWN_S = 10.0
"""For so long an existing bucket is not checked again."""


class BucketCheck:
    """Checks one bucket. `exists` asks S3."""

    def __init__(
        self,
        exists: Callable[[], Awaitable[bool]],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exists = exists
        self._monotonic_s = monotonic_s
        self._known_until_s = -1.0

    async def require(self, action: str) -> None:
        """Return where the bucket exists. Raises StoreError where it does not, or S3 fails."""
        if self._monotonic_s() < self._known_until_s:
            return
        if not await self._exists():
            raise store_error(action, 404, NO_BUCKET)
        self._known_until_s = self._monotonic_s() + KNOWN_S
