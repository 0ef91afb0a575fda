"""The id of the HTTP request that is answered: log lines and traces of its task have it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class _Answering:
    """A request in progress. A task that it started, and that goes on, has no request any more."""

    __slots__ = ("id",)

    def __init__(self, request_id: str) -> None:
        self.id: str | None = request_id


_current: ContextVar[_Answering | None] = ContextVar("request", default=None)


def current_request_id() -> str | None:
    """Return the id of the request that is answered here, in its threads too; None: no one is."""
    found = _current.get()
    return None if found is None else found.id


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """Give log lines and traces that are written inside the id of a request."""
    answered = _Answering(request_id)
    token = _current.set(answered)
    try:
        yield
    finally:
        answered.id = None
        _current.reset(token)
