"""The outside systems as the settings name them, opened once a process, when first needed."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from domain.device_policy import queue_arn
from stores.aws_endpoint import AwsEndpoint
from stores.catalog import Catalog
from stores.catalog.row_security import ADMIN, INDEX, LINK, WEB
from stores.catalog.web_catalog import WebCatalog
from stores.objects import ObjectStore
from stores.queue import Queue
from stores.sts import DeviceCredentialIssuer
from streams.settings import Settings

T = TypeVar("T")


class LazyStore(Generic[T]):
    """A store that is opened at first use and stays open until the process ends."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._make = make
        self._opening: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return the opened store; raises what opening raises, and then opens again."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._make().__aenter__())
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise


def make_object_store(settings: Settings) -> ObjectStore:
    """Return the bucket of fragments and chunks, not yet opened."""
    return ObjectStore(_endpoint(settings, settings.s3_endpoint), settings.s3_bucket)


def make_queue(settings: Settings, url: str) -> Queue:
    """Return a queue, not yet opened."""
    return Queue(_endpoint(settings, settings.sqs_endpoint), url)


def make_credential_issuer(settings: Settings) -> DeviceCredentialIssuer:
    """Return what gives credentials to devices, not yet opened. ConfigError."""
    keys = (one.strip() for one in settings.device_kms_key_arns.split(","))
    return DeviceCredentialIssuer(
        _endpoint(settings, settings.sts_endpoint),
        role_arn=settings.device_role_arn,
        bucket=settings.s3_bucket,
        queue_arn=queue_arn(settings.sqs_queue_url, settings.aws_region),
        kms_key_arns=tuple(one for one in keys if one),
    )


def _endpoint(settings: Settings, url: str | None) -> AwsEndpoint:
    return AwsEndpoint(
        settings.aws_region, url, str(settings.aws_ca_file) if settings.aws_ca_file else None
    )


def object_store(settings: Settings) -> LazyStore[ObjectStore]:
    """Return the bucket of fragments and chunks, opened when first needed."""
    return LazyStore(lambda: make_object_store(settings))


def worker_catalog(settings: Settings) -> Catalog:
    """Return the catalog with the rights of workers and passes, not yet opened."""
    url = settings.index_database_url or settings.database_url
    return Catalog(url.get_secret_value(), role=INDEX)


def admin_catalog(settings: Settings, *, size: int = 1) -> Catalog:
    """Return the catalog with the rights of commands, not yet opened."""
    url = settings.admin_database_url or settings.database_url
    return Catalog(url.get_secret_value(), size=size, role=ADMIN)


def catalog(settings: Settings) -> LazyStore[Catalog]:
    """Return the catalog of a worker, opened when first needed."""
    return LazyStore(lambda: worker_catalog(settings))


def web_catalog(settings: Settings) -> LazyStore[Catalog]:
    """Return the catalog as the web sees it (stores/catalog/web_catalog.py)."""
    url = (settings.web_database_url or settings.database_url).get_secret_value()
    return LazyStore(lambda: WebCatalog(url, required=settings.row_security == "require"))


def link_catalog(settings: Settings) -> LazyStore[Catalog]:
    """Return the catalog as the devices' address sees it.

    Where its user may not become vigil_link, it is vigil_web, as link workers were before.
    """
    given = settings.link_database_url or settings.web_database_url or settings.database_url
    required = settings.row_security == "require"
    url = given.get_secret_value()
    return LazyStore(lambda: WebCatalog(url, required=required, roles=(LINK, WEB)))
