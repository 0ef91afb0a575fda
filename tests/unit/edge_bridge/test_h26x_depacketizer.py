"""The H.264 and H.265 depacketizer: the encoder's access units, however they are packed."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_bridge.rtsp import h26x_depacketizer as module
from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.h26x_depacketizer import AccessUnit, H26xDepacketizer
from edge_bridge.rtsp.nal import NAL_TYPES, has_recovery_point, parameter_sets
from tests.footage import write_clip
from tests.rtsp_camera import Packet, access_units
from tests.unit.edge_bridge.rtp_packets import aggregated, annex_b, in_fragments, packets, video

CODINGS = {"H264": "libx264", "H265": "libx265"}
COUNT = 30
STEP = 3_600


@pytest.fixture(scope="module", params=list(CODINGS))
def coding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def units(coding: str, tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    """Each access unit's NAL units, parameter sets before keyframes."""
    clip = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return list(access_units(write_clip(clip, COUNT, codec=CODINGS[coding], gop=10)))


def taken(sent: list[bytes], coding: str) -> list[AccessUnit]:
    """What comes out of packets; the last picture, too."""
    depacketizer = H26xDepacketizer(video(coding))
    for packet in sent:
        take(depacketizer, packet)
    depacketizer.finish()
    return depacketizer.ready


def take(depacketizer: H26xDepacketizer, packet: bytes) -> None:
    # Among other bytes, as in a buffer.
    depacketizer.push(bytearray(b"\xff" * 7 + packet + b"\xff" * 9), 7, 7 + len(packet))


def one_by_one(units: list[list[bytes]]) -> Iterator[Packet]:
    for number, picture in enumerate(units):
        for place, unit in enumerate(picture):
            yield Packet(0, 0xFFFF0000 + number * STEP, place == len(picture) - 1, unit)


def in_small_pieces(coding: str, most: int) -> Callable[[list[list[bytes]]], Iterator[Packet]]:
    def sent(units: list[list[bytes]]) -> Iterator[Packet]:
        for packet in one_by_one(units):
            pieces = list(in_fragments(packet.payload, coding, most))
            if len(pieces) < 2:
                yield packet
                continue
            for place, piece in enumerate(pieces):
                last = packet.last and place == len(pieces) - 1
                yield packet._replace(payload=piece, last=last)

    return sent


def test_every_way_of_packing_gives_the_same_pictures(
    units: list[list[bytes]], coding: str
) -> None:
    def all_together(units: list[list[bytes]]) -> Iterator[Packet]:
        for number, picture in enumerate(units):
            yield Packet(0, 0xFFFF0000 + number * STEP, True, aggregated(picture, coding))

    ways = [one_by_one, in_small_pieces(coding, 50), in_small_pieces(coding, 7), all_together]
    for way in ways:
        done = taken(packets(way(units)), coding)
        assert [picture.data for picture in done] == [annex_b(each) for each in units]
        # Its time runs over 32 bits soon, and goes on.
        assert [picture.ticks for picture in done] == [STEP * at for at in range(COUNT)]
        assert [at for at, picture in enumerate(done) if picture.keyframe] == [0, 10, 20]
        assert [at for at, picture in enumerate(done) if picture.has_parameter_sets] == [0, 10, 20]


@pytest.mark.parametrize("marks", ["none", "all"])
def test_markers_that_are_missing_or_everywhere_change_nothing(
    units: list[list[bytes]], coding: str, marks: str
) -> None:
    sent = [packet._replace(last=marks == "all") for packet in one_by_one(units)]
    done = taken(packets(sent), coding)
    whole = [annex_b(each) for each in units]
    # Without a marker it is unknown whether the last one was whole.
    assert [picture.data for picture in done] == (whole if marks == "all" else whole[:-1])


def test_access_units_with_one_timestamp_are_separated_by_markers(
    units: list[list[bytes]], coding: str
) -> None:
    sent = [packet._replace(ticks=7) for packet in one_by_one(units)]
    done = taken(packets(sent), coding)
    assert [picture.data for picture in done] == [annex_b(each) for each in units]
    assert {picture.ticks for picture in done} == {0}


def test_several_slices_are_one_picture(tmp_path: Path) -> None:
    # Three slices of a picture, each with its own marker, and an end of sequence behind them.
    first, middle, end = b"\x65\x88\x01\x02", b"\x65\x08\x03\x04", b"\x0a\x00"
    sent = [Packet(0, 5, True, unit) for unit in (first, middle, middle, end)]
    done = taken(packets([*sent, Packet(0, 6, True, b"\x41\x9a\x00")]), "H264")
    assert [picture.data for picture in done] == [
        annex_b([first, middle, middle, end]),
        annex_b([b"\x41\x9a\x00"]),
    ]


def test_parameter_sets_with_their_own_timestamp_belong_to_the_next_access_unit(
    units: list[list[bytes]], coding: str
) -> None:
    kinds = NAL_TYPES[coding]
    sent = [
        packet
        if kinds.type_of(packet.payload[0]) in kinds.slices
        else packet._replace(ticks=packet.ticks - STEP // 2, last=True)
        for packet in one_by_one(units)
    ]
    done = taken(packets(sent), coding)
    assert [picture.data for picture in done] == [annex_b(each) for each in units]
    assert [picture.ticks for picture in done] == [STEP * at for at in range(COUNT)]


def test_a_lost_packet_costs_only_its_nal_unit(units: list[list[bytes]], coding: str) -> None:
    sent = packets(in_small_pieces(coding, 20)(units))
    stamps = [packet[4:8] for packet in sent]
    gone = stamps.index(stamps[-1]) - 2  # in the last picture but one
    depacketizer = H26xDepacketizer(video(coding))
    for packet in sent[:gone] + sent[gone + 1 :]:
        take(depacketizer, packet)
    depacketizer.finish()
    assert depacketizer.sequence.lost == 1
    whole = [annex_b(each) for each in units]
    expected = {STEP * at: data for at, data in enumerate(whole)}
    for picture in depacketizer.ready:
        if picture.ticks != STEP * (COUNT - 2):
            assert expected.pop(picture.ticks) == picture.data
        else:  # its other slice may be there
            assert len(picture.data) < len(whole[-2])
    assert set(expected) == {STEP * (COUNT - 2)}


def test_what_is_cut_off_at_the_end_is_left_out(units: list[list[bytes]], coding: str) -> None:
    sent = packets(in_small_pieces(coding, 20)(units))
    assert len(taken(sent[:-1], coding)) == COUNT - 1
    assert len(taken(sent, coding)) == COUNT


def test_other_payload_types_and_garbage_are_skipped(units: list[list[bytes]], coding: str) -> None:
    sent = []
    for packet in packets(one_by_one(units)):
        other = bytes([packet[0], packet[1] & 0x80 | 97]) + packet[2:]
        sent += [other, packet, packet[:12], packet[:5], b"\x40" + packet[1:]]
    assert len(taken(sent, coding)) == COUNT


def test_padding_contributors_and_extensions_are_no_payload(
    units: list[list[bytes]], coding: str
) -> None:
    sent = []
    for packet in packets(one_by_one(units)):
        first = bytes([packet[0] | 0x20 | 0x10 | 2])
        extension = b"\xbe\xde\x00\x01" + b"abcd"
        sent.append(first + packet[1:12] + b"c" * 8 + extension + packet[12:] + b"\x00\x00\x03")
    assert [p.data for p in taken(sent, coding)] == [annex_b(each) for each in units]


def test_rare_packings_are_unsupported() -> None:
    with pytest.raises(UnsupportedStreamError, match="type 29"):
        taken(packets([Packet(0, 0, False, b"\x7d\x85\x00\x00\x01")]), "H264")
    with pytest.raises(UnsupportedStreamError, match="type 50"):
        taken(packets([Packet(0, 0, False, b"\x64\x01\x85\x00\x00\x01")]), "H265")
    with pytest.raises(UnsupportedStreamError, match="interleaved"):
        H26xDepacketizer(video("H265", sprop_max_don_diff="2"))


def test_an_endless_access_unit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ACCESS_UNIT_BYTES", 100_000)
    endless = (Packet(0, 0, False, b"\x41\x9a" + bytes(1_000)) for _ in range(10_000))
    with pytest.raises(UnsupportedStreamError, match="more than"):
        taken(packets(endless), "H264")
    tiny = (Packet(0, 0, False, b"\x41\x9a") for _ in range(200_000))
    with pytest.raises(UnsupportedStreamError, match="more than"):
        taken(packets(tiny), "H264")


def test_garbage_raises_nothing_else() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    depacketizer = H26xDepacketizer(video())
    for number in range(20_000):
        packet = bytearray(chance.randbytes(chance.randrange(60)))
        packet[:4] = (0x80, 96, number >> 8 & 255, number & 255)[: len(packet)]
        try:
            take(depacketizer, bytes(packet))
        except UnsupportedStreamError:
            depacketizer = H26xDepacketizer(video())
        depacketizer.ready.clear()


def test_parameter_sets_are_read_from_the_sdp() -> None:
    assert parameter_sets({"sprop-parameter-sets": "Z0IA,aM4="}) == (
        b"\0\0\0\1\x67\x42\x00" + b"\0\0\0\1\x68\xce"
    )
    fmtp = {"sprop-pps": "RAE=", "sprop-vps": "QAE=", "sprop-sps": "QgE="}
    assert parameter_sets(fmtp) == b"".join(
        b"\0\0\0\1" + x for x in (b"\x40\1", b"\x42\1", b"\x44\1")
    )
    assert parameter_sets({"sprop-parameter-sets": "no base64!,"}) == b""


def test_a_recovery_point_is_a_place_to_begin() -> None:
    recovery = b"\x06" + b"\x05\x03abc" + b"\x06\x01\x84" + b"\x80"
    assert has_recovery_point(recovery)
    assert not has_recovery_point(b"\x06\x05\x03abc\x80")
    assert not has_recovery_point(b"\x06" + b"\xff" * 300)
    slice_ = b"\x41\x9a\x00"
    done = taken(packets([Packet(0, 0, False, recovery), Packet(0, 0, True, slice_)]), "H264")
    assert [picture.keyframe for picture in done] == [True]
