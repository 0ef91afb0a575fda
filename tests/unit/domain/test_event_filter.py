"""Which scopes of a stream are both wanted and visible: against a table of all cameras."""

from itertools import combinations, product

import pytest

from domain.access import is_visible
from domain.event_filter import narrow, scopes_above

CAMERAS = [f"{t}/{s}/{c}" for t, s, c in product(("acme", "acme-2"), ("hq", "lab"), ("a", "ab"))]
SCOPES = ["*", "acme", "acme-2", "acme/hq", "acme-2/lab", "acme/hq/a", "acme/hq/ab", "acme/lab/a"]


def test_narrowed_scopes_cover_what_both_cover() -> None:
    several = [[], *([each] for each in SCOPES), *map(list, combinations(SCOPES, 2))]
    for visible, wanted in product(several, several):
        found = narrow(visible, wanted)
        for camera in CAMERAS:
            both = is_visible(visible, camera) and (not wanted or is_visible(wanted, camera))
            assert is_visible(found, camera) == both, (visible, wanted, camera)
        assert not any(is_visible(set(found) - {each}, each) for each in found)


@pytest.mark.parametrize(
    ("resource", "above"),
    [
        ("acme", ("*", "acme")),
        ("acme/hq", ("*", "acme", "acme/hq")),
        ("acme/hq/gate", ("*", "acme", "acme/hq", "acme/hq/gate")),
    ],
)
def test_scopes_above(resource: str, above: tuple[str, ...]) -> None:
    assert scopes_above(resource) == above
