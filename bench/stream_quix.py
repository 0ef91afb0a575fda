"""The Quix arm of `vigil bench stream`: the assembler's rule in Quix Streams, with its state.

Runs in an environment of its own (bench/quix.txt), with this project's domain next to it. The state
of a camera is what the assembler keeps: restored for each event, kept after it, RocksDB and a
changelog below, at least once, a checkpoint a second.
"""

import argparse
from pathlib import Path
from typing import Any

from quixstreams import Application, State

from domain.camera_windows import CameraWindows
from domain.events import FragmentArrived, encode, parse
from domain.windows import WindowRules
from harness.fragment_load import Timed


def _run(brokers: str, source: str, total: int, folder: Path) -> None:
    timed = Timed(total)
    app = Application(
        broker_address=brokers,
        consumer_group=folder.name,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=folder,
        loglevel="WARNING",
    )
    rules = WindowRules()

    def assemble(
        value: bytes, key: Any, timestamp: int, _headers: Any, state: State
    ) -> list[bytes]:
        event = parse(value)
        if not isinstance(event, FragmentArrived):
            return []  # a tick of the assembler's turn
        windows = CameraWindows.restore(event.camera, rules, state.get("windows"))
        _was, decided = windows.on_fragment(event, timestamp)
        state.set("windows", windows.snapshot())
        if timed.count():
            app.stop()
        return [encode(each) for each in decided]

    topic = app.topic(source, key_deserializer="bytes", value_deserializer="bytes")
    due = app.topic(f"{folder.name}-due", key_serializer="bytes", value_serializer="bytes")
    frame = app.dataframe(topic).apply(assemble, stateful=True, expand=True, metadata=True)
    frame.to_topic(due)
    app.run()
    timed.report()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("brokers")
    parser.add_argument("topic")
    parser.add_argument("total", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    _run(given.brokers, given.topic, given.total, given.folder)
