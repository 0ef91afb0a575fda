"""The interleaved reader: whole packets out of random pieces, and nothing else."""

import random
import socket
from collections.abc import Iterable

import pytest

from edge_bridge.rtsp.av_sync import AvSync
from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.h26x_depacketizer import H26xDepacketizer
from edge_bridge.rtsp.interleaved import InterleavedReader, PacketHandler
from edge_bridge.rtsp.rtp import SequenceTracker, TimestampUnwrapper, sender_report
from tests.rtsp_camera import Packet, interleaved
from tests.unit.edge_bridge.receive_buffers import _overwritten_buffers
from tests.unit.edge_bridge.rtp_packets import cut, in_fragments, packets, video

__all__ = ["_overwritten_buffers"]

ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Length: 5\r\n\r\n$body"
REQUEST = b"GET_PARAMETER rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"


class Read:
    """What comes out of bytes that a connection brings in pieces."""

    def __init__(self, pieces: Iterable[bytes], begun: bytes = b"") -> None:
        self.packets: list[tuple[int, bytes]] = []
        self.messages: list[bytes] = []
        ours, theirs = socket.socketpair()
        with ours, theirs:
            stream = InterleavedReader(
                ours,
                begun,
                {channel: self.handler(channel) for channel in (0, 1)},
                {},
                self.messages.append,
            )
            stream.dispatch()
            for piece in pieces:
                theirs.sendall(piece)
                assert stream.receive()
                stream.dispatch()
            theirs.close()
            assert not stream.receive()

    def handler(self, channel: int) -> PacketHandler:
        def handle(data: bytearray, at: int, end: int) -> None:
            self.packets.append((channel, bytes(data[at:end])))

        return handle


def sent_packets(chance: random.Random, count: int) -> list[tuple[int, bytes]]:
    sizes = [chance.choice((1, 100, 1_400, 65_535)) for _ in range(count)]
    return [(chance.randrange(2), chance.randbytes(size)) for size in sizes]


def test_packets_and_messages_are_separated_however_they_are_cut() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    packets = sent_packets(chance, 60)
    stream = b"".join(
        interleaved(channel, data) + chance.choice((b"", b"", ANSWER, REQUEST))
        for channel, data in packets
    )
    for most in (2, 50, 3_000, 60_000):
        part = stream if most > 50 else stream[:5_000]
        begun, *pieces = cut(part, chance, most)
        read = Read(pieces, begun)
        assert read.packets == packets[: len(read.packets)]
        if most > 50:
            assert len(read.packets) == len(packets)
        assert len(read.messages) == part.count(ANSWER) + part.count(REQUEST)
        assert set(read.messages) <= {ANSWER.partition(b"\r\n\r\n")[0], REQUEST[:-4]}


ONE, TWO = b"\x80one", b"\x80two"


def test_garbage_between_packets_is_skipped() -> None:
    read = Read([b"\x00\x01" + interleaved(0, ONE), b"AB\x00" + interleaved(1, TWO)])
    assert read.packets == [(0, ONE), (1, TWO)]


def test_garbage_that_resembles_packets_costs_no_packet() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    packets = [(chance.randrange(2), b"\x80" + chance.randbytes(200)) for _ in range(400)]
    stream = b""
    for number, (channel, data) in enumerate(packets):
        # A "$" with the channel of no stream and a size that reaches into later packets.
        size = chance.randrange(1, 900).to_bytes(2, "big")
        if number % 5 == 2:
            stream += b"$" + bytes([chance.randrange(9, 256)]) + size + chance.randbytes(30)
        stream += interleaved(channel, data)
    read = Read([*cut(stream, chance), bytes(1_000)])
    kept = [packet for packet in packets if packet in read.packets]
    assert len(kept) > 380  # by chance a false packet ends where a true one begins


@pytest.mark.parametrize("line", ["\r\n", "\n"])
@pytest.mark.parametrize("most", [1, 7, 999])
def test_messages_end_with_any_empty_line(line: str, most: int) -> None:
    header = line.join(("RTSP/1.0 200 OK", "CSeq: 9", "content-length : 3"))
    sent = header.encode() + line.encode() * 2 + b"$ab"
    stream = (interleaved(0, ONE) + sent) * 5
    read = Read(cut(stream, random.Random(most), most + 1))
    assert read.packets == [(0, ONE)] * 5
    assert read.messages == [header.encode()] * 5


def test_channels_that_were_not_set_up_are_skipped() -> None:
    read = Read([interleaved(7, b"what") + interleaved(0, b"one")])
    assert read.packets == [(0, b"one")]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 70_000,
        interleaved(9, b"a" * 65_000),
        b"RTSP/1.0 200 " + b"a" * 70_000,
        b"A" * 70_000,
    ],
)
def test_a_stream_of_anything_else_is_unsupported(garbage: bytes) -> None:
    with pytest.raises(UnsupportedStreamError, match="no RTP packets of its streams"):
        Read([garbage] * 40)


def test_time_wraps_at_32_bits_and_back() -> None:
    time = TimestampUnwrapper()
    assert [time.ticks(stamp) for stamp in (0xFFFFFFF0, 0x10, 0xFFFFFFF8, 0x20)] == [0, 32, 8, 48]
    assert (time.peek(0x30), time.peek(0xFFFFFFF0)) == (64, 0)


def test_missing_packets_are_counted_over_16_bits() -> None:
    sequence = SequenceTracker()
    for number in (65_534, 65_535, 2, 3, 3):
        if number != sequence.expected:
            sequence.gap(number)
        sequence.expected = number + 1 & 0xFFFF
    assert sequence.lost == 2


def report(utc_s: float, stamp: int) -> bytes:
    ntp = round((utc_s + 2_208_988_800) * (1 << 32))
    return b"\x80\xc8\x00\x06\x00\x00\x00\x07" + ntp.to_bytes(8, "big") + stamp.to_bytes(4, "big")


def test_a_sender_report_gives_the_time() -> None:
    parsed = sender_report(report(1_700_000_000.25, 77))
    assert parsed is not None
    assert (parsed.utc_us, parsed.rtp_timestamp) == (1_700_000_000_250_000, 77)
    assert sender_report(report(1_700_000_000, 77)[:19]) is None
    assert sender_report(b"\x80\xc9" + bytes(30)) is None
    assert sender_report(report(-2_208_988_800, 77)) is None  # it has no clock


def test_audio_follows_its_arrival_until_there_are_sender_reports() -> None:
    depacketizer, audio = TimestampUnwrapper(), TimestampUnwrapper()
    sync = AvSync(depacketizer, audio, 8_000)
    depacketizer.ticks(1_000)
    audio.ticks(500_000)
    depacketizer.ticks(1_000 + 90_000)
    # The newest picture is of second 1 and came 40 ms before this audio.
    assert sync.offset((90_000, 10_000), (0, 10_040)) == 8_000 + 320
    assert sync.offset((180_000, 11_000), (8_000, 11_900)) == 8_000 + 320  # it stays so
    first = sender_report(report(1_000, 1_000 + 90_000))
    assert first is not None
    sync.report(False, first)
    assert sync.offset((90_000, 0), (0, 0)) == 8_320  # one report alone changes nothing
    late = sender_report(report(1_000.5, 500_000))
    assert late is not None
    sync.report(True, late)  # this audio is of second 1.5 of the depacketizer
    assert sync.offset((90_000, 0), (0, 0)) == 12_000
    wrong = sender_report(report(2_000, 500_000))
    assert wrong is not None
    sync.report(True, wrong)
    assert sync.offset((90_000, 0), (0, 0)) == 12_000


@pytest.mark.parametrize("coding", ["H264", "H265"])
def test_push_fragments_gives_the_same_as_push(coding: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    first, second = (b"\x65\x88", b"\x41\x9a") if coding == "H264" else (b"\x26\1\x88", b"\2\1\x9a")
    sent = []
    for number in range(300):
        unit = (second if number % 10 else first) + chance.randbytes(chance.randrange(1, 9_000))
        pieces = list(in_fragments(unit, coding, chance.randrange(20, 1_400)))
        for place, piece in enumerate(pieces):
            sent.append(Packet(0, number * 3_600, place == len(pieces) - 1, piece))
    stream = b""
    for packet in packets(sent):
        if chance.random() < 0.005:
            continue  # missing
        stream += interleaved(chance.choice((0,) * 50 + (1,)), packet)
        stream += chance.choice((b"",) * 50 + (ANSWER,))
    outcomes = []
    for in_bulk in (True, False):
        depacketizer = H26xDepacketizer(video(coding), 0)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            usual_handlers = {0: depacketizer.push_usual} if in_bulk else {}
            reader = InterleavedReader(
                ours, b"", {0: depacketizer.push}, usual_handlers, lambda _: None
            )
            for piece in cut(stream, random.Random(seed)):
                theirs.sendall(piece)
                assert reader.receive()
                reader.dispatch()
        depacketizer.finish()
        outcomes.append((depacketizer.ready, depacketizer.sequence.lost))
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][0]) > 100
