"""Passes: a failed one is logged and the next continues. SIGTERM ends them at any point."""

import asyncio
import logging
import os
import signal

import pytest

from cli.periodic import check_interval, run_periodically
from domain.errors import ConfigError, StoreError
from streams.settings import Settings


async def test_a_single_pass_that_fails_is_raised() -> None:
    async def once() -> None:
        raise StoreError("away")

    with pytest.raises(StoreError, match="away"):
        await run_periodically(once, None, Settings())


async def test_a_pass_that_fails_is_logged_and_the_next_continues(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def once() -> None:
        begun.append(len(begun))
        if len(begun) == 2:
            raise StoreError("away")
        if len(begun) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        ended.append(begun[-1])

    with caplog.at_level(logging.WARNING):
        await asyncio.wait_for(run_periodically(once, 1, Settings()), 30)
    assert (begun, ended) == ([0, 1, 2], [0])
    assert [record.getMessage() for record in caplog.records] == [
        "the pass failed, the next one continues: away"
    ]


async def test_sigterm_ends_the_rest_between_two_passes() -> None:
    begun = []

    async def once() -> None:
        begun.append(True)
        asyncio.get_running_loop().call_later(0, os.kill, os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(run_periodically(once, 3_600_000, Settings()), 30)
    assert begun == [True]


def test_passes_that_follow_too_closely_are_refused() -> None:
    check_interval(None)
    check_interval(60_000)
    with pytest.raises(ConfigError, match="at least 1m"):
        check_interval(59_999)
