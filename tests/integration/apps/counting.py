"""Counts each camera's fragments in a table; writes what it handled into VIGIL_TEST_LOG.

A table entry is [next seq, holes]: an event seen before says nothing new, one that comes
too early makes a hole, which is there to stay. The entry is written for an event seen before too:
a worker that was killed may have it on its disk while the changelog lacks it.
"""

import asyncio
import os
from pathlib import Path

from domain.events import AnyEvent, FragmentArrived
from streams import topics
from streams.app import make_app
from streams.codec import Record
from streams.handlers import handles

app = make_app("counting")
counts = app.Table("counts", default=lambda: [0, 0], partitions=app.settings.partitions)
handled = os.open(os.environ["VIGIL_TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
work_s = float(os.environ.get("VIGIL_TEST_WORK_S", "0"))
app.fence.enforced = not os.environ.get("VIGIL_TEST_UNFENCED")
fail_once = Path(os.environ.get("VIGIL_TEST_FAIL_ONCE", "/nonexistent"))


@handles(app, topics.FRAGMENT_ARRIVED, isolated=bool(os.environ.get("VIGIL_TEST_ISOLATED")))
async def count(event: AnyEvent, record: Record) -> None:
    """Count."""
    assert isinstance(event, FragmentArrived)
    if work_s:
        await asyncio.sleep(work_s)
    if must_fail(event.seq):
        raise RuntimeError("failed on request")
    following, holes = counts[event.camera]
    counts[event.camera] = [max(following, event.seq + 1), holes + max(0, event.seq - following)]
    os.write(handled, f"{record.partition} {record.offset} {event.camera} {event.seq}\n".encode())


def must_fail(seq: int) -> bool:
    """Return True for one event with the seq that the file names."""
    if not fail_once.exists() or seq != int(fail_once.read_text()):
        return False
    fail_once.unlink()
    return True
