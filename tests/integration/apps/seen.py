"""Keeps each camera's fragments in a table, as ranges; the order in which they come is all one."""

import os

from domain.events import AnyEvent, FragmentArrived
from domain.seqs import SeqRanges
from streams import topics
from streams.app import make_app
from streams.codec import Record
from streams.handlers import handles

app = make_app("seen")
seen = app.Table("seen", default=list, partitions=app.settings.partitions)
handled = os.open(os.environ["VIGIL_TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@handles(app, topics.FRAGMENT_ARRIVED, reroute=True)
async def see(event: AnyEvent, record: Record) -> None:
    """Add the fragment."""
    assert isinstance(event, FragmentArrived)
    seen[event.camera] = [
        list(each) for each in SeqRanges(seen[event.camera]).add(event.seq).ranges
    ]
    os.write(handled, f"{record.partition} {record.offset} {event.camera} {event.seq}\n".encode())
