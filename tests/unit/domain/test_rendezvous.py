"""Which node is responsible for a key: the same for all, few keys move."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from domain.rendezvous import ranked_nodes, responsible_node, weight

NODES = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True)


def test_weights_do_not_change_between_versions() -> None:
    """Workers of two versions run side by side: they must choose the same relay."""
    assert weight("acme/hq/gate main", "a") == 0x15BA_8769_3A3F_5EA9
    chosen = [responsible_node(f"camera-{n}", ["a", "b", "c"]) for n in range(6)]
    assert chosen == ["b", "a", "b", "b", "b", "c"]


def test_no_node() -> None:
    assert responsible_node("key", []) is None


@given(NODES, st.text(max_size=30))
def test_the_order_of_the_list_does_not_matter(nodes: list[str], key: str) -> None:
    assert responsible_node(key, nodes) == responsible_node(key, reversed(nodes))
    assert ranked_nodes(key, nodes)[0] == responsible_node(key, nodes)


@given(NODES, st.text(max_size=30), st.data())
def test_only_the_keys_of_a_node_that_leaves_move(
    nodes: list[str], key: str, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(nodes))
    left = [node for node in nodes if node != gone]
    before = responsible_node(key, nodes)
    assert responsible_node(key, left) == (
        before if before != gone else next(iter(ranked_nodes(key, nodes)[1:]), None)
    )


def test_keys_spread_evenly() -> None:
    counts = Counter(responsible_node(f"key {n}", ["a", "b", "c", "d"]) for n in range(4_000))
    assert all(850 < count < 1_150 for count in counts.values()), counts
