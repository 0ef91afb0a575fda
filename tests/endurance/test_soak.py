"""A short run of `vigil bench soak`: nothing is opened and never closed again."""

import argparse
from pathlib import Path

import pytest

from harness.soak import soak

POOLS_GROW = 24
"""Threads of pools and connections that are made when they are first needed: up to 16 uploads at
once. What leaks with each fragment is a hundred in a minute."""


@pytest.mark.slow
@pytest.mark.timeout(560)
def test_threads_files_and_memory_stay_as_they_are(tmp_path: Path) -> None:
    found = soak.run(
        argparse.Namespace(minutes=1, cameras=8, rate=0.5, model="", data=tmp_path / "data")
    )
    print(found)
    assert found["inference_processes"] == 1
    for name in ("edge", "inference"):
        for what in ("files", "threads"):
            assert found[name][what]["end"] <= found[name][what]["start"] + POOLS_GROW, found
        assert found[name]["memory_mib"]["end"] < found[name]["memory_mib"]["start"] + 64, found
    assert found["connections_cut"] > 0
    assert found["given_up"] == 0
    assert found["objects"] > 0
    assert found["pictures_sampled"]["looked"] > 0
    assert found["fragments"] > 0
    assert found["notices"] > 0
