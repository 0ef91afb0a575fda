"""The garbage collector, tuned for workers that make and drop many objects for each event.

Nothing of an event is in a cycle: counting references frees it. The collector still runs,
after every 700 objects, and sometimes over all that was ever imported (docs/design/delivery.md).
"""

import gc

OBJECTS = 20_000
"""New objects after which the youngest are checked."""


def tune() -> None:
    """Never check again what exists now, and check new objects less often. After all imports."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
