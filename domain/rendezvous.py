"""Rendezvous hash (highest random weight): which node is responsible for a key. Pure.

    key "acme/hq/gate main"     node a: 0x91…   node b: 0xf3…   node c: 0x20…   ──► b
    b is gone                   node a: 0x91…                   node c: 0x20…   ──► a

All processes with the same list of nodes choose the same one, without a word between them. When a
node leaves, only its own keys move; when one joins, it takes its share from all the others.
Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996.
"""

import hashlib
from collections.abc import Iterable


def weight(key: str, node: str) -> int:
    """Return the weight of a node for a key: 64 bits, the same in each process and version."""
    text = f"{len(node)} {node} {key}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def ranked_nodes(key: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes for a key, the responsible one first, then who takes over from it."""
    return sorted(set(nodes), key=lambda node: (-weight(key, node), node))


def responsible_node(key: str, nodes: Iterable[str]) -> str | None:
    """Return the node that is responsible for a key; None: there are no nodes."""
    return min(set(nodes), key=lambda node: (-weight(key, node), node), default=None)
