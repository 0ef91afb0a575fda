"""Fixtures of all tests: the local services, started once per session in a folder of their own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.ports import find_free
from local.stack import Stack
from streams.settings import Settings, get_settings


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker of pytest-xdist ports of its own: one must not take what is free for now."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        number, count = int(worker["workerid"].removeprefix("gw")), int(worker["workercount"])
        share = len(ports.RANGE) // count
        start = ports.RANGE.start + number * share
        ports.RANGE = range(start, start + share)


class Services:
    """Running local services, as tests see them. Its methods block: use `asyncio.to_thread`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.env = stack.env
        self.folder = stack.folder.path

    @property
    def settings(self) -> Settings:
        """The settings by which the program under test reaches the services."""
        return get_settings()

    def restart(self, name: str) -> None:
        """Stop and start kafka, sqs, postgres or s3 on its port; returns once it answers."""
        self._stack.restart(name)

    def kill(self, name: str) -> None:
        """End a service with SIGKILL; it stays down until `restart`."""
        self._stack.kill(name)


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Start Kafka, SQS, PostgreSQL and S3; the environment and `settings()` point at them.

    Isolate tests by names of their own (topics by VIGIL_APP_PREFIX or camera ids, key prefixes):
    the services are shared by the session.
    """
    folder = Path(tempfile.mkdtemp(prefix="vigil-test-"))
    before = dict(os.environ)
    stack = Stack(folder / "data")
    try:
        stack.start()
        os.environ.update(stack.env)
        get_settings.cache_clear()
        yield Services(stack)
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def free_port() -> int:
    """Return a free port that no outgoing connection is given."""
    return find_free()
