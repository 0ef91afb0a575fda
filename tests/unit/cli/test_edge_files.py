"""What the edge writes is not for every user of the device."""

import argparse
import os
from pathlib import Path

import pytest

import cli.edge
import edge_bridge.edge
import edge_bridge.logs


def test_files_of_the_edge_are_not_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "journal"

    class Edge:
        def __init__(self, _config: object) -> None:
            pass

        async def run(self) -> None:
            written.write_text("")

    monkeypatch.setattr(edge_bridge.edge, "Edge", Edge)
    monkeypatch.setattr(cli.edge, "load", lambda path: path)
    monkeypatch.setattr(edge_bridge.logs, "set_up", lambda _level: None)
    monkeypatch.setattr(cli.edge.signal, "signal", lambda *_: None)
    before = os.umask(0)  # as in a container, where no one sets it
    try:
        cli.edge._run(argparse.Namespace(config=tmp_path, log_level="INFO"))
    finally:
        os.umask(before)
    assert written.stat().st_mode & 0o777 == 0o640
