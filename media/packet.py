"""The type of PyAV's packets, which is generic for type checkers only."""

from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    AnyPacket = av.Packet[Any]
else:
    AnyPacket = av.Packet
