"""Lets a table be written outside of its stream, before a commit.

Faust takes the partition of a table's entry from the event that its stream works on now. Here
another object takes the place of that event. Only for tables that are written before each commit
and nowhere else: their stream must not be in the middle of writing the same entry.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from streams.delivery.faust_private import current_event_is


class _SourceEvent:
    """What tables ask of an event: its message's topic and partition."""

    def __init__(self, topic: str, partition: int) -> None:
        self.message = SimpleNamespace(topic=topic, partition=partition)


@contextmanager
def source_partition(topic: str, partition: int) -> Iterator[None]:
    """Let tables be written as if an event of this source partition were being worked on."""
    event = _SourceEvent(topic, partition)  # kept here: Faust holds only a weak reference
    with current_event_is(event):
        yield
