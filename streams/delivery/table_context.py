"""Writing a table outside of its stream, before a commit.

Faust takes the partition of a table's entry from the event that its stream works on just now. Here
that event is stood in for. For tables that are written before each commit and nowhere else; their
stream must not be in the middle of writing the same entry.

Private parts of Faust 0.15.3 this stands on, and why:
  faust.streams._current_event   the context variable that tables ask
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from faust.streams import _current_event


class _SourceEvent:
    """What tables ask of an event: its message's topic and partition."""

    def __init__(self, topic: str, partition: int) -> None:
        self.message = SimpleNamespace(topic=topic, partition=partition)


@contextmanager
def source_partition(topic: str, partition: int) -> Iterator[None]:
    """Let tables be written as if an event of this source partition were being worked on."""
    event = _SourceEvent(topic, partition)
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)
