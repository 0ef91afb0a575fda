"""Loss-free delivery for Faust: at least once, with tables, whatever happens to workers.

docs/design/delivery.md tells which faults of Faust are mended here, and how.
"""

from streams.delivery import pins

pins.check()
