"""What is wrong between the files of several sites, and what is only unwise in one."""

from collections.abc import Mapping
from itertools import combinations

from domain.site_file.model import SiteFile


def problems_between(files: Mapping[str, SiteFile]) -> list[str]:
    """Return what is wrong between files, by name of the file; each is a sentence.

    The networks of cameras may be the same at two sites: nothing is routed to them.
    """
    found: list[str] = []
    for name, file in files.items():
        if name != f"{file.id}.yaml":
            found.append(f"{name} holds the site {file.id}: name the file {file.id}.yaml.")
    for (one_name, one), (other_name, other) in combinations(sorted(files.items()), 2):
        both = f"{one_name} and {other_name}"
        if one.id == other.id:
            found.append(f"{both} have the id {one.id}: each site has its own.")
        if one.site == other.site:
            found.append(f"{both} are both {one.site}: a site has one file.")
        if one.management.network.overlaps(other.management.network):
            found.append(
                f"The management networks of {both} overlap ({one.management.network}, "
                f"{other.management.network}): the VPN could not distinguish them."
            )
    return found


def warnings_of(file: SiteFile) -> list[str]:
    """Return what works, but probably not as intended; each is a sentence."""
    found: list[str] = []
    needed = file.cameras.count * file.cameras.mbit_s
    allowed = file.uplink.mbit_s * file.uplink.share
    if needed > allowed:
        found.append(
            f"{file.cameras.count} cameras of {file.cameras.mbit_s:g} Mbit/s are {needed:g}, and "
            f"Vigil may use {allowed:g} of the line: footage waits on the device, and is given "
            "up when its disk is full. Upload less by schedule, or get a faster line."
        )
    if file.uplink.mtu < 1_400:
        found.append(
            f"An MTU of {file.uplink.mtu} leaves less than 1,320 bytes inside IPsec: ask the "
            "provider whether the line allows more."
        )
    hosts = file.cameras.network.num_addresses - 2 - len(file.devices)
    if hosts < file.cameras.count:
        found.append(
            f"{file.cameras.network} has {hosts} addresses for {file.cameras.count} cameras: "
            "choose a larger network."
        )
    return found
