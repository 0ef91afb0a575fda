"""One stream, three ways to handle its packets: what comes out is the same.

one by one                 H26xDepacketizer.push, the reference
what one read brought      push_usual in Python
the same with native       push_usual with the extension's scanner
"""

import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.h26x_depacketizer import H26xDepacketizer
from edge_bridge.rtsp.interleaved import InterleavedReader
from media import native
from tests.rtsp_camera import Packet, interleaved, rtp
from tests.unit.edge_bridge.receive_buffers import _overwritten_buffers
from tests.unit.edge_bridge.rtp_packets import PAYLOAD_TYPE, aggregated, cut, in_fragments, video
from tests.unit.edge_bridge.test_h26x_depacketizer import of_source, slice_of, sps_of

__all__ = ["_overwritten_buffers"]

USUAL = {"H264": [b"\x41\x9a", b"\x65\x88"], "H265": [b"\2\1\x9a", b"\x26\1\x88"]}
ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"


def unusual_unit(chance: random.Random, coding: str) -> bytes:
    """A NAL unit of any type, with rubbish in it, or a well-known one."""
    if coding == "H264":
        if chance.random() < 0.3:
            return chance.choice(
                [
                    sps_of(only_frames=chance.random() < 0.9),
                    slice_of(chance.randrange(4), chance.choice(["10", "11", "0"])),
                    b"\x06\x05\x03abc\x06\x01\x84\x80",
                    b"\x09\xf0",
                    b"\x06\x01\x00\x80",
                    b"\x0c" + b"\xff" * 50,
                ]
            )
        head = bytes([chance.randrange(256)])
    else:
        head = bytes([chance.randrange(128), 1])
    body = chance.randbytes(chance.choice([0, 1, 2, 30, 3_000]))
    return head + (body.replace(b"\xff", b"\0\0\1") if chance.random() < 0.1 else body)


def pictures(chance: random.Random, coding: str, oddity: float) -> Iterator[Packet]:
    """Access units as packets, most of them usual."""
    ticks = chance.randrange(1 << 32)
    for number in range(80):
        usual = chance.random() > oddity
        unit = USUAL[coding][number % 12 == 0]
        units = [unit + chance.randbytes(chance.randrange(6_000)) for _ in range(1 + number % 2)]
        if coding == "H264" and chance.random() < 0.5:
            units = [b"\x09\xf0", b"\x06\x01\x00\x80", *units]
        if number % 12 == 0 and coding == "H264":
            units = [sps_of(only_frames=True), b"\x68\xce\x06", *units]
        if not usual:
            units.insert(chance.randrange(len(units) + 1), unusual_unit(chance, coding))
        made = list(payloads(chance, coding, units, usual))
        for place, payload in enumerate(made):
            last = place == len(made) - 1
            if not usual and chance.random() < 0.2:
                last = not last
            yield Packet(0, ticks % (1 << 32), last, payload)
        if usual or chance.random() < 0.7:
            ticks += chance.choice([3_600, 3_600, 1, 90_000])


def payloads(
    chance: random.Random, coding: str, units: list[bytes], usual: bool
) -> Iterator[bytes]:
    if not usual and chance.random() < 0.2:
        yield aggregated([unit[:2_000] for unit in units], coding)
        return
    for unit in units:
        pieces = [unit]
        if len(unit) > 1_400 or (not usual and chance.random() < 0.3):
            pieces = list(in_fragments(unit, coding, chance.choice([1_398, 700, 40]))) or [unit]
        if not usual and chance.random() < 0.1:
            pieces.insert(chance.randrange(len(pieces) + 1), chance.choice(pieces))
        if not usual and chance.random() < 0.1:
            pieces.pop()
        yield from (b"\0\0\0\1" + piece if not usual and chance.random() < 0.1 else piece
                    for piece in pieces)  # fmt: skip


def stream_of(chance: random.Random, coding: str, oddity: float) -> bytes:
    """A stream in an RTSP connection, in which packets are missing, repeated, swapped, foreign."""
    number, packets = chance.randrange(1 << 16), []
    for packet in pictures(chance, coding, oddity):
        packets.append(rtp(PAYLOAD_TYPE, number & 0xFFFF, packet))
        number += 1
        dice = chance.random()
        if dice < oddity / 20:
            number += chance.choice([1, 5, 4_000])
        elif dice < oddity / 10:
            packets.append(packets[-1])
        elif dice < oddity / 8 and len(packets) > 2:
            packets[-1], packets[-2] = packets[-2], packets[-1]
        elif dice < oddity / 6:
            packets.append(of_source(77, packets[-1]))
        elif dice < oddity / 5:
            packets[-1] = bytes([packets[-1][0] | 0x20]) + packets[-1][1:] + b"\0\0\3"
        elif dice < oddity / 4:
            packets[-1] = chance.randbytes(chance.randrange(30))
    ssrc = 0
    stream = b""
    for packet in packets:
        if chance.random() < oddity / 500:
            ssrc = chance.randrange(1 << 32)
        stream += interleaved(0, of_source(ssrc, packet) if ssrc and len(packet) > 12 else packet)
        if chance.random() < oddity / 5:
            stream += interleaved(chance.choice([1, 2]), b"another stream")
        if chance.random() < oddity / 50:
            stream += ANSWER
    return stream


def outcome(stream: bytes, seed: int, coding: str, in_bulk: bool, use_native: bool) -> Any:
    chance = random.Random(seed)
    depacketizer = H26xDepacketizer(video(coding), 0, use_native=use_native)
    ours, theirs = socket.socketpair()
    error = ""
    with ours, theirs:
        reader = InterleavedReader(
            ours,
            b"",
            {0: depacketizer.push, 1: lambda *_: None},
            {0: depacketizer.push_usual} if in_bulk else {},
            lambda _: None,
        )
        for piece in cut(stream, chance, chance.choice([300, 3_000, 60_000])):
            depacketizer.now_ms += chance.choice([1, 40, 400, 1_500])
            theirs.sendall(piece)
            assert reader.receive()
            try:
                reader.dispatch()
            except UnsupportedStreamError as unsupported:
                error = str(unsupported)
                break
    depacketizer.finish()
    return (
        depacketizer.ready,
        depacketizer.sequence.lost,
        depacketizer.sequence.expected,
        depacketizer.units_dropped,
        depacketizer.empty,
        depacketizer.timestamps.peek(0),
        error,
    )


@pytest.mark.parametrize("oddity", [0, 0.03, 0.3])
@pytest.mark.parametrize("coding", ["H264", "H265"])
def test_all_ways_give_the_same(coding: str, oddity: float) -> None:
    if not native.AVAILABLE:
        pytest.skip("the extension is not built")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    for number in range(seed, seed + 3):
        stream = stream_of(random.Random(number), coding, oddity)
        expected = outcome(stream, number, coding, False, False)
        assert expected[0] or oddity
        assert outcome(stream, number, coding, True, False) == expected, number
        assert outcome(stream, number, coding, True, True) == expected, number
        if not oddity:
            assert len(expected[0]) == 80
