"""How fast a device may download an update: never at the cost of live footage. Pure.

live footage keeps up     the cap, and at most a quarter of what the line was seen to carry
live footage waits        FLOOR_BYTES_PER_S
the line is down          nothing

The floor is above nothing: a site whose line is always too thin still gets an update of security,
500 MB in nine hours.
"""

FLOOR_BYTES_PER_S = 16_384
LINE_SHARE = 0.25
"""Of a line that other traffic needs too."""
LIVE_LAG_S = 15.0
"""Live footage that waits longer than this in the spool is behind: three fragments of 5 s."""


def download_bytes_per_s(
    cap_bytes_per_s: int,
    *,
    live_lag_s: float,
    line_bytes_per_s: float | None = None,
    line_up: bool = True,
) -> int:
    """Return the rate that is allowed now, bytes a second; 0: wait.

    `live_lag_s`: age of the oldest live fragment that waits, 0 for none. Old footage that is sent
    later does not count. `line_bytes_per_s`: what uploads were seen to reach; None: not known.
    """
    if not line_up or cap_bytes_per_s <= 0:
        return 0
    floor = min(FLOOR_BYTES_PER_S, cap_bytes_per_s)
    if live_lag_s > LIVE_LAG_S:
        return floor
    if line_bytes_per_s is None:
        return cap_bytes_per_s
    return max(floor, min(cap_bytes_per_s, int(line_bytes_per_s * LINE_SHARE)))
