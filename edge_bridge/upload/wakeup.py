"""A wake-up call between threads and tasks that is never lost."""

import asyncio
import contextlib

POLL_S = 5.0
"""A waiter looks by itself this often: a lost call would only delay."""


class Wakeup:
    """`set` from any thread; every future from `heard` is done by the next one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Wake all waiters."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._wake)

    def heard(self) -> "asyncio.Future[None]":
        """Return a future of the next call; take it before looking for work, then await it."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting = [one for one in self._waiting if not one.done()]
        self._waiting.append(future)
        self._loop.call_later(POLL_S, _done, future)
        return future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            _done(future)


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
