"""Rings of a rollout: which site is in which ring. The same answer in each process.

    lab ──► canary ──► early (10 %) ──► rest

A site is in one ring with all of its devices. Its file names the ring. A
rendezvous hash of the release draws sites of `rest`, until `early` has its share of devices. Each
release draws others, so the same customers are not always the first ones.
"""

from collections.abc import Mapping
from typing import get_args

from domain.rendezvous import weight
from domain.site_file.model import Ring

RINGS: tuple[Ring, ...] = get_args(Ring)
EARLY_PERCENT = 10


def rings_of_sites(
    rings: Mapping[str, Ring],
    devices: Mapping[str, int],
    release: int,
    percent: int = EARLY_PERCENT,
) -> dict[str, Ring]:
    """Return the ring of each site in a rollout of `release`.

    `rings`: by site, as its file has it. `devices`: how many each site has; a site without any is
    left out. `percent`: the share of the devices in `early` and `rest` that are early.
    """
    chosen = {site: rings.get(site, "rest") for site, count in devices.items() if count}
    late = [site for site, ring in chosen.items() if ring in ("early", "rest")]
    total = sum(devices[site] for site in late)
    early = sum(devices[site] for site in late if chosen[site] == "early")
    drawn = sorted(late, key=lambda site: (-weight(f"release {release}", site), site))
    for site in drawn:
        if early * 100 >= percent * total:
            break
        if chosen[site] == "rest":
            chosen[site] = "early"
            early += devices[site]
    return chosen


def following(ring: Ring, present: set[Ring]) -> Ring | None:
    """Return the next ring that has devices; None: this is the last one."""
    after = RINGS[RINGS.index(ring) + 1 :]
    return next((each for each in after if each in present), None)


def is_reached(ring: Ring, newest: Ring) -> bool:
    """Return whether a ring is open while `newest` is the newest open one."""
    return RINGS.index(ring) <= RINGS.index(newest)
