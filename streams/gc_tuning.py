"""The garbage collector, tuned for workers that make and drop many objects for each event.

Nothing of an event is in a cycle: counting references frees it. The collector looks all the same,
each 700 objects, and now and then at all that was ever imported (docs/design/delivery.md).
"""

import gc

OBJECTS = 20_000
"""New objects after which the youngest are looked at."""


def tune() -> None:
    """Look at what stands now never again, and at what comes less often. Once all is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
