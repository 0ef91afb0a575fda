"""What the start bench makes is a spool as the edge itself leaves it."""

from pathlib import Path

import pytest

from bench import start
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.rows import EndState
from edge_bridge.spool.spool import open_spool

LIMITS = SpoolLimits(free_floor_bytes=0, free_floor_s=0)


@pytest.mark.parametrize("journal", [True, False], ids=["whole", "gone"])
def test_all_of_it_waits_and_nothing_is_damaged(
    journal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_AT_ONCE", 7)
    folder = tmp_path / "spool"
    start.build(folder, fragments=53, cameras=3, runs=2)
    if not journal:
        for path in folder.glob("journal.db*"):
            path.unlink()
    spool = open_spool(folder, "bench", LIMITS)
    rows = spool.waiting(1_000)
    assert len(rows) == 53
    assert {row.camera for row in rows} == {f"{start.SITE}/cam-0{at}" for at in range(3)}
    assert len({row.run for row in rows}) == 6
    assert len(spool.journal.runs(EndState.ENDED)) == 6  # they were open, as a kill leaves them
    assert not list(folder.rglob("*.damaged"))
    for row in rows:
        event = spool.event_of(row)
        assert event is not None
        stored = spool.files.inspect(spool.files.path(row.camera, row.run, row.seq))
        # The file does not name the fragment before it: a rebuilt journal finds that.
        assert stored == event.with_previous(None)
    spool.close()
