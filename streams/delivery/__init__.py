"""Loss-free delivery for Faust: at least once, with tables, whatever happens to workers.

docs/design/delivery.md describes the faults of Faust that are corrected here, and how.
"""

from streams.delivery import pins

pins.check()
