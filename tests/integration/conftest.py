"""A whole cloud for the tests of a module that ask for it: workers, bucket, queue."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from stores.objects import ObjectStore
from stores.queue import Queue
from streams.storage import make_object_store, make_queue
from tests.cloud import Cloud, quick
from tests.conftest import Services


@pytest.fixture(scope="module")
def names() -> str:
    """Return a part of names that only this module's cloud uses."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the cloud's programs."""
    return tmp_path_factory.mktemp("cloud")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(services: Services, names: str, folder: Path) -> AsyncIterator[Cloud]:
    """Run the workers with windows of seconds."""
    async with Cloud(folder, quick(names)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(cloud: Cloud) -> AsyncIterator[ObjectStore]:
    """Open the cloud's bucket."""
    async with make_object_store(cloud.settings) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def queue(cloud: Cloud) -> AsyncIterator[Queue]:
    """Open the queue to which edges send."""
    async with make_queue(cloud.settings, cloud.settings.sqs_queue_url) as opened:
        yield opened
