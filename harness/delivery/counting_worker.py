"""The worker of `vigil bench delivery`: counts each camera's events in a table.

An entry is [next seq, holes]: an event seen before changes nothing, one that comes too early makes
a hole, which is there to stay. What was handled goes to VIGIL_BENCH_LOG, a line each.
"""

import os

from domain.events import AnyEvent, FragmentArrived
from streams import topics
from streams.app import worker_app
from streams.codec import Record
from streams.handlers import handles

app = worker_app("counting")
counts = app.Table("counts", default=lambda: [0, 0], partitions=app.settings.partitions)
handled = os.open(os.environ["VIGIL_BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@handles(app, topics.FRAGMENT_ARRIVED)
async def count(event: AnyEvent, record: Record) -> None:
    """Count."""
    if not isinstance(event, FragmentArrived):
        return
    following, holes = counts[event.camera]
    # also for one seen before: a killed worker's disk may be ahead of its changelog
    counts[event.camera] = [max(following, event.seq + 1), holes + max(0, event.seq - following)]
    os.write(handled, f"{event.camera} {event.seq}\n".encode())
