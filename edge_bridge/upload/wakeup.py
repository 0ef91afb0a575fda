"""A wake-up between threads and tasks that is never lost."""

import asyncio
import contextlib

POLL_S = 5.0
"""Every waiter wakes up this often anyway: a lost wake-up would only delay."""


class Wakeup:
    """`set` from any thread; it completes every future that `waiter` returned before."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Wake all waiters."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits
            self._loop.call_soon_threadsafe(self._wake_all)

    def waiter(self) -> "asyncio.Future[None]":
        """Return a future of the next wake-up.

        Take it first, then check for work, then await it: a wake-up in between is not lost.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters = [one for one in self._waiters if not one.done()]
        self._waiters.append(future)
        self._loop.call_later(POLL_S, _complete, future)
        return future

    def _wake_all(self) -> None:
        waiters = self._waiters
        self._waiters = []
        for future in waiters:
            _complete(future)


def _complete(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
