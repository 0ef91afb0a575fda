"""A short run of `vigil bench soak`: nothing is opened and never closed again."""

import argparse
from pathlib import Path

import pytest

from bench import soak

POOLS_GROW = 6
"""Threads of pools that are made when they are first needed."""


@pytest.mark.slow
def test_threads_files_and_processes_stay_as_they_are(tmp_path: Path) -> None:
    figures = soak.run(argparse.Namespace(minutes=0.5, cameras=2, rate=0.5, data=tmp_path))
    for what in ("files", "threads", "processes"):
        least, most = figures[what]
        assert most - least <= POOLS_GROW, figures
    assert figures["memory_mib_most"] < figures["memory_mib_first"] + 64, figures
