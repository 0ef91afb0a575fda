"""The process of one model: `python -m inference SOCKET MEMORY`. It ends with its parent.

    socket ─► main thread ─► jobs ─► runner threads, one batch each ─► shared memory, socket
                └ each second: heartbeat

One session, and as many threads that run it: on CPUs that is faster than threads inside of it.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from domain.errors import VigilError
from inference.model_files import ModelFile
from inference.session import OnnxSession
from inference.shared_memory import SlotLayout, Slots, packed_bytes
from stores.ipc import Header, PeerClosedError, WorkerChannel
from stores.resident_memory import resident_mib
from vision.gpu import GpuOptions

EXIT_MODEL = 3
HEARTBEAT_S = 1.0
_LOAD_TIMEOUT_S = 60.0
_SPARE_OUTPUT = 1.25
"""Outputs may be this much larger than those of the sample."""

_Job = tuple[Header, bytes]


class ModelServer:
    """Computes the batches that the parent sends."""

    def __init__(
        self, channel: WorkerChannel, session: OnnxSession, slots: Slots, runners: int
    ) -> None:
        self._channel = channel
        self._session = session
        self._slots = slots
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._busy_since_s: dict[int, float] = {}
        """When each runner began its batch; monotonic."""
        for number in range(runners):
            threading.Thread(target=self._run, args=(number,), daemon=True).start()

    def serve(self) -> None:
        """Serve until the parent ends, then raise PeerClosedError."""
        next_s = 0.0
        while True:
            message = self._channel.receive(HEARTBEAT_S / 2)
            if message is not None:
                self._jobs.put(message)
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = now_s + HEARTBEAT_S
                self._send_heartbeat(now_s)

    def _send_heartbeat(self, now_s: float) -> None:
        busy_s = max((now_s - since_s for since_s in self._busy_since_s.values()), default=0.0)
        self._channel.send(
            {
                "type": "heartbeat",
                "memory_mib": resident_mib(),
                "busy_s": busy_s,
                "provider": self._session.provider,
            }
        )

    def _run(self, number: int) -> None:
        while True:
            header, body = self._jobs.get()
            self._busy_since_s[number] = started_s = time.monotonic()
            answer: Header = {"type": "outputs", "batch": header["batch"]}
            rest = b""
            try:
                inputs = self._slots.read_inputs(header["slot"], header["tensors"], body)
                outputs = self._session.run(inputs, header["outputs"])
                answer["compute_s"] = time.monotonic() - started_s
                answer["tensors"], rest = self._slots.write_outputs(header["slot"], outputs)
                del inputs
            except VigilError as error:
                answer = {"type": "failed", "batch": header["batch"], "message": str(error)}
            self._busy_since_s.pop(number, None)
            try:
                self._channel.send(answer, rest)
            except PeerClosedError:
                return


def _load(order: Mapping[str, Any]) -> OnnxSession:
    file = ModelFile(
        order["name"],
        order["version"],
        Path(order["path"]),
        {name: tuple(shape) for name, shape in order["sample_shapes"].items()},
    )
    gpu = order["gpu"]
    cache = gpu.pop("engine_cache")
    session = OnnxSession(
        file,
        providers=order["providers"],
        fallback=order["fallback"],
        threads=order["threads"],
        gpu=GpuOptions(**gpu, engine_cache=Path(cache) if cache else None),
    )
    session.warm_up()
    return session


def _make_slots(session: OnnxSession, runners: int, memory: int) -> tuple[Slots, SlotLayout]:
    rows = session.max_rows
    sample = {name: [value] for name, value in session.sample(rows).items()}
    output_bytes = int(_SPARE_OUTPUT * session.output_row_bytes * rows)
    # Twice as many slots as runners: the next batch is written while one is computed.
    layout = SlotLayout(2 * runners, packed_bytes(sample), output_bytes)
    os.ftruncate(memory, layout.total_bytes)
    return Slots(memory, layout), layout


def main(socket_descriptor: int, memory: int) -> int:
    """Run the process; returns its exit code."""
    channel = WorkerChannel(socket.socket(fileno=socket_descriptor))
    message = channel.receive(_LOAD_TIMEOUT_S)
    if message is None:
        return 1
    order, _ = message
    os.nice(order["nice"])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        session = _load(order)
        slots, layout = _make_slots(session, order["runners"], memory)
    except VigilError as error:
        channel.send({"type": "fatal", "message": str(error)})
        return EXIT_MODEL
    metadata = session.metadata()
    channel.send(
        {
            "type": "ready",
            "platform": metadata.platform,
            "inputs": [[spec.name, spec.datatype, spec.shape] for spec in metadata.inputs],
            "outputs": [[spec.name, spec.datatype, spec.shape] for spec in metadata.outputs],
            "max_rows": session.max_rows,
            "best_rows": session.best_rows,
            "ms_by_rows": session.ms_by_rows,
            "provider": session.provider,
            "memory": [layout.slots, layout.input_bytes, layout.output_bytes],
        }
    )
    ModelServer(channel, session, slots, order["runners"]).serve()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
    except (PeerClosedError, KeyboardInterrupt):
        sys.exit(0)
