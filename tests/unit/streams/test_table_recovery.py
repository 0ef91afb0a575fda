"""From which offset of each changelog a table is recovered, and what its changelog lacks."""

from collections import Counter
from typing import Any

from faust.types import TP

from streams.delivery.app import DeliveryApp

LOG = "app-table-changelog"


class _Broker:
    """Where changelogs begin."""

    def __init__(self, begins: dict[TP, int]) -> None:
        self._begins = begins

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return {tp: self._begins.get(tp, 0) for tp in tps}


async def test_a_changelog_is_read_from_where_the_disk_ends() -> None:
    app: Any = DeliveryApp("app", broker="kafka://", store="memory://")
    recovery = app.tables.recovery
    reported: list[tuple[str, list[int], str]] = []
    recovery._report = lambda *what: reported.append(what)
    fresh, known, empty, cut, ahead = (TP(LOG, number) for number in range(5))
    offsets: Any = Counter({fresh: None, known: 7, empty: None, cut: None, ahead: 20})
    recovery.active_highwaters = Counter({fresh: 3, known: 9, empty: -1, cut: 30, ahead: 12})
    broker = _Broker({cut: 11})
    for _ in range(2):  # Faust asks again when a recovery starts again
        await recovery._build_offsets(broker, set(offsets), offsets, "active")
        assert offsets == {fresh: -1, known: 7, empty: -1, cut: 10, ahead: 12}
    assert reported == [(LOG, [3], "emptied"), (LOG, [4], "made anew")]
