"""An edge without a cloud for longer than its spool holds, by the bench, kept short."""

from pathlib import Path

import pytest

from tests.endurance.test_edge_outage import bench


@pytest.mark.slow
async def test_what_does_not_fit_is_the_oldest_of_the_lowest_priority(tmp_path: Path) -> None:
    found = await bench(
        tmp_path, "autonomy", "--hours", "0.04", "--fits-hours", "0.03", "--cameras", "4",
        "--live-cameras", "2", "--away-s", "1", "--return-s", "5", "--data", str(tmp_path / "data"),
    )  # fmt: skip
    assert found["clean"], found
    assert found["kept"] + found["given_up_low"] == found["fragments"] == 144
    assert found["given_up_low"] > 0
    assert found["given_up_high"] == 0
    assert found["new"] > 0
    assert found["backlog_sent"] == found["kept"]


@pytest.mark.slow
async def test_a_long_outage_is_filled_in_pieces(tmp_path: Path) -> None:
    options = ["--hours", "0.02", "--cameras", "2", "--data", str(tmp_path / "data")]
    first = await bench(tmp_path, "autonomy", *options, "--for-s", "0")
    assert (first["filled"], first["clean"]) == (2, None)
    second = await bench(
        tmp_path, "autonomy", *options, "--live-cameras", "1", "--away-s", "1", "--return-s", "4",
        "--drain",
    )  # fmt: skip
    assert second["clean"], second
    assert (second["filled"], second["kept"], second["left"]) == (36, 36, 0)
