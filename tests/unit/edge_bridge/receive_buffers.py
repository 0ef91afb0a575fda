"""The receive buffers that connections share, as the worst neighbour would use them."""

import pytest

from edge_bridge.rtsp.interleaved import _ReceiveBuffers


@pytest.fixture(autouse=True)
def _overwritten_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another connection overwrites a buffer as soon as it is given back."""
    give_back = _ReceiveBuffers.give_back

    def overwrite(self: _ReceiveBuffers, buffer: bytearray) -> None:
        buffer[:] = (b"$\x00\x00\x01" * (len(buffer) // 4 + 1))[: len(buffer)]
        give_back(self, buffer)

    monkeypatch.setattr(_ReceiveBuffers, "give_back", overwrite)
