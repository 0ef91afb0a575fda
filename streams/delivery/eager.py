"""Runs a coroutine without a task until it waits: most coroutines for an event never do.

Faust hands each record over under `wait_first`, which makes four tasks and cancels three of them.
Here the coroutine's first step is taken directly. Tasks are made only for the rest, when it has to
wait for space in a queue.
"""

import types
from collections.abc import Coroutine, Generator
from typing import Any


def run_eagerly(coroutine: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
    """Take the first step: (True, what it returned), or (False, a coroutine of the rest).

    For coroutines whose first step does not depend on the task they run in, as time limits do.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        return True, done.value
    return False, _rest(coroutine, waits_for)


async def _rest(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _go_on(coroutine, waits_for)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """Continue the coroutine, from the future that it awaits after its first step."""
    try:
        while True:
            try:
                value = yield waits_for
            except GeneratorExit:
                raise
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(value)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
