"""The H.264 and H.265 depacketizer: the encoder's access units, however they are packed."""

import base64
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from edge_bridge.rtsp import h26x_depacketizer as module
from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.h26x_depacketizer import AccessUnit, H26xDepacketizer
from edge_bridge.rtsp.h264_fields import field_format
from edge_bridge.rtsp.nal import (
    H264,
    H265,
    NAL_TYPES,
    has_recovery_point,
    own_parameter_sets,
    parameter_sets,
)
from media import native
from tests.footage import write_clip
from tests.rtsp_camera import Packet, access_units
from tests.unit.edge_bridge.rtp_packets import (
    aggregated,
    annex_b,
    in_fragments,
    on_channel,
    packets,
    video,
)

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


@pytest.fixture(autouse=True, params=["packets", "reads", "reads, native"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How packets are handled: one by one, or as many as one read brought."""
    use_native = request.param == "reads, native"
    if use_native and not native.AVAILABLE:
        pytest.skip("the extension is not built")
    monkeypatch.setattr(H26xDepacketizer.__init__, "__kwdefaults__", {"use_native": use_native})
    if request.param != "packets":
        monkeypatch.setattr(sys.modules[__name__], "take_all", take_as_read)


def taken(sent: list[bytes], coding: str) -> list[AccessUnit]:
    """What comes out of packets; the last picture, too."""
    depacketizer = H26xDepacketizer(video(coding))
    take_all(depacketizer, sent)
    depacketizer.finish()
    return depacketizer.ready


def take(depacketizer: H26xDepacketizer, packet: bytes) -> None:
    # Among other bytes, as in a buffer.
    depacketizer.push(bytearray(b"\xff" * 7 + packet + b"\xff" * 9), 7, 7 + len(packet))


def take_all(depacketizer: H26xDepacketizer, sent: Iterable[bytes]) -> None:
    for packet in sent:
        take(depacketizer, packet)


def take_as_read(depacketizer: H26xDepacketizer, sent: Iterable[bytes]) -> None:
    data = bytearray(on_channel(0, sent))
    at = 0
    while at < len(data):
        usual = depacketizer.push_usual(data, at, len(data))
        if usual > at:
            at = usual
            continue
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
        depacketizer.push(data, at + 4, end)
        at = end


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


def with_don(stap_a: bytes) -> bytes:
    """Return a STAP-A as STAP-B: with a decoding order number."""
    return b"\x19\1\2" + stap_a[1:]


def paci(packet: bytes, extension: bytes = b"abc") -> bytes:
    """Return a packet of H.265 with an extension (RFC 7798, 4.4.4)."""
    fields = (packet[0] >> 1 & 63) << 9 | len(extension) << 4
    return bytes((50 << 1, packet[1])) + fields.to_bytes(2, "big") + extension + packet[2:]


def test_every_way_of_packing_gives_the_same_pictures(
    units: list[list[bytes]], coding: str
) -> None:
    def all_together(units: list[list[bytes]]) -> Iterator[Packet]:
        for number, picture in enumerate(units):
            yield Packet(0, 0xFFFF0000 + number * STEP, True, aggregated(picture, coding))

    def unusual(units: list[list[bytes]]) -> Iterator[Packet]:
        for packet in (
            all_together(units) if coding == "H264" else in_small_pieces("H265", 50)(units)
        ):
            data = packet.payload
            yield packet._replace(payload=with_don(data) if coding == "H264" else paci(data))

    ways = [one_by_one, in_small_pieces(coding, 50), in_small_pieces(coding, 7), all_together]
    ways.append(unusual)
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
    take_all(depacketizer, sent[:gone] + sent[gone + 1 :])
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


def test_packings_that_no_reader_supports_are_left_out_and_counted() -> None:
    depacketizer = H26xDepacketizer(video())
    sent = [Packet(0, 0, False, bytes([kind]) + b"\0\5\0\0\4abcd") for kind in (26, 27, 29)]
    for data in packets([*sent, Packet(0, 0, True, IDR)]):
        take(depacketizer, data)
    depacketizer.finish()
    assert [unit.data for unit in depacketizer.ready] == [annex_b([IDR])]
    assert depacketizer.units_dropped == 3
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


SPS, PPS = b"\x67\x42\x00\x1e", b"\x68\xce\x06"


def coded(*units: bytes) -> str:
    return ",".join(base64.b64encode(unit).decode() for unit in units)


@pytest.mark.parametrize(
    "text",
    [
        coded(SPS, PPS),
        coded(SPS, PPS).replace("=", ""),
        coded(SPS, PPS, b"\xe9\xf6\x02") + ",no base64!,",
        coded(b"\0\0\0\1" + SPS, b"\0\0\1" + PPS),
        coded(SPS + b"\0\0\0\1" + PPS),
        coded(b"", SPS, b"\x09\xf0", PPS),
    ],
    ids=["plain", "unpadded", "rubbish", "start codes", "one", "others"],
)
def test_parameter_sets_are_read_from_the_sdp(text: str) -> None:
    assert parameter_sets({"sprop-parameter-sets": text}, H264) == annex_b([SPS, PPS])


def test_parameter_sets_of_h265_are_read_from_the_sdp() -> None:
    sets = (b"\x40\1\x0c", b"\x42\1\1", b"\x44\1\xc0")
    vps, sps, pps = (coded(one) for one in sets)
    fmtp = {"sprop-pps": pps, "sprop-vps": vps, "sprop-sps": sps}
    assert parameter_sets(fmtp, H265) == annex_b(sets)
    assert parameter_sets({"sprop-parameter-sets": "no base64!,"}, H264) == b""


def test_an_access_units_own_parameter_sets_are_found() -> None:
    sets = [SPS, PPS]
    assert own_parameter_sets(annex_b([b"\x09\xf0", *sets, b"\x65\x88", PPS]), H264) == annex_b(
        sets
    )
    assert own_parameter_sets(annex_b([b"\x65\x88"]), H264) == b""


IDR, SLICE = b"\x65\x88" + b"i" * 90, b"\x41\x9a" + b"s" * 90


def frames_of(sent: Iterable[bytes], coding: str = "H264") -> list[bytes]:
    depacketizer = H26xDepacketizer(video(coding))
    take_all(depacketizer, sent)
    depacketizer.finish()
    assert depacketizer.sequence.lost == 0
    return [unit.data for unit in depacketizer.ready]


@pytest.mark.parametrize("size", [1_000, 40], ids=["whole", "in fragments"])
def test_several_units_in_one_are_one_keyframe(size: int) -> None:
    """V380: SPS, PPS and IDR travel as one NAL unit, with start codes between them."""
    joined = b"\0\0\0\1".join((SPS, PPS, IDR))
    payloads = [joined] if size > len(joined) else list(in_fragments(joined, "H264", size))
    depacketizer = H26xDepacketizer(video())
    last = len(payloads) - 1
    for data in packets([Packet(0, 0, n == last, one) for n, one in enumerate(payloads)]):
        take(depacketizer, data)
    depacketizer.finish()
    (unit,) = depacketizer.ready
    assert unit.keyframe and unit.has_parameter_sets
    assert unit.data == annex_b([SPS, PPS, IDR])


def test_start_codes_before_units_are_left_out() -> None:
    sent = packets([Packet(0, 0, False, b"\0\0\0\1" + SPS), Packet(0, 0, True, b"\0\0\1" + IDR)])
    assert frames_of(sent) == [annex_b([SPS, IDR])]


@pytest.mark.parametrize("marker", [True, False], ids=["marker", "no marker"])
@pytest.mark.parametrize("coding", ["H264", "H265"])
def test_units_without_their_end_are_whole(coding: str, marker: bool) -> None:
    first, second = (IDR, SLICE) if coding == "H264" else (b"\x26\1\x88" * 9, b"\2\1\x9a" * 9)
    sent = []
    for number in range(6):
        unit = second if number else first
        pieces = list(in_fragments(unit, coding, 8))
        at = 2 if coding == "H265" else 1
        pieces[-1] = pieces[-1][:at] + bytes([pieces[-1][at] & 0xBF]) + pieces[-1][at + 1 :]
        for place, piece in enumerate(pieces):
            sent.append(Packet(0, number * 3_600, marker and place == len(pieces) - 1, piece))
    got = frames_of(packets(sent), coding)
    assert got == [annex_b([first]), *[annex_b([second])] * (5 if marker else 4)]


def test_a_unit_of_which_a_packet_was_lost_is_dropped_and_counted() -> None:
    pieces = list(in_fragments(IDR, "H264", 20))
    sent = packets([Packet(0, 0, False, one) for one in pieces])
    sent += packets([Packet(0, 3_600, True, SLICE)], first=65_530 + len(pieces))
    depacketizer = H26xDepacketizer(video())
    take_all(depacketizer, sent[:2] + sent[3:])
    depacketizer.finish()
    assert [unit.data for unit in depacketizer.ready] == [annex_b([SLICE])]
    assert (depacketizer.sequence.lost, depacketizer.units_dropped) == (1, 1)


@pytest.mark.parametrize(
    ("coding", "private"),
    [
        *(("H264", bytes([0x60 | kind])) for kind in (0, 16, 23, 30, 31)),
        *(("H265", bytes([kind << 1, 1])) for kind in (10, 22, 24, 31, 41, 47, 51, 63)),
    ],
)
def test_private_units_are_left_out(coding: str, private: bytes) -> None:
    first, second = (IDR, SLICE) if coding == "H264" else (b"\x26\1\x88", b"\2\1\x9a")
    data = private + b"private" * 5
    sent = [
        Packet(0, 9, True, data), Packet(0, 0, False, data), Packet(0, 0, True, first),
        Packet(0, 77, False, data), Packet(0, 3_600, True, aggregated([data, second], coding)),
        *(Packet(0, 7_200, False, one) for one in in_fragments(data, coding, 9)),
        Packet(0, 7_200, True, second),
    ]  # fmt: skip
    assert frames_of(packets(sent), coding) == [annex_b([first]), *[annex_b([second])] * 2]


def of_source(ssrc: int, data: bytes) -> bytes:
    return data[:8] + ssrc.to_bytes(4, "big") + data[12:]


def test_packets_of_a_dead_session_are_left_out() -> None:
    own = packets([Packet(0, n * 3_600, True, SLICE if n else IDR) for n in range(50)])
    dead = packets([Packet(0, 9_000 + n * 3_600, True, b"\x41\x9adead") for n in range(50)], 300)
    sent = []
    for n in range(50):
        sent += [own[n]] if n % 5 else [own[n], of_source(9, dead[n])]
    assert frames_of(sent) == [annex_b([IDR]), *[annex_b([SLICE])] * 49]


def test_a_dead_session_that_sends_first_is_found_out() -> None:
    own = packets([Packet(0, n * 3_600, True, SLICE) for n in range(50)])
    dead = packets([Packet(0, 9_000 + n * 3_600, True, b"\x41\x9adead") for n in range(50)], 300)
    sent = []
    for n in range(50):
        sent += [own[n]] if n % 5 else [of_source(9, dead[n // 5]), own[n]]
    got = frames_of(sent)
    assert got[-44:] == [annex_b([SLICE])] * 44 and len(got) < 49


@pytest.mark.parametrize("length", [3, 25, 200])
def test_a_change_of_the_ssrc_loses_nothing(length: int) -> None:
    """Uniview: another SSRC, numbering and time with each GOP."""
    depacketizer = H26xDepacketizer(video())
    for gop in range(8):
        made = packets(
            [Packet(0, gop * 999_999 + n * 3_600, True, SLICE) for n in range(length)], gop * 7_919
        )
        for data in made:
            depacketizer.now_ms += 40 if length > 3 else 700
            take(depacketizer, of_source(gop + 1, data))
    depacketizer.finish()
    # The last packets wait, in case they are foreign.
    assert len(depacketizer.ready) >= 8 * length - (0 if length > 3 else 3)
    assert (depacketizer.sequence.lost, depacketizer.units_dropped) == (0, 0)


@pytest.mark.parametrize("each", ["picture", "packet"])
def test_an_ssrc_that_changes_while_the_numbers_go_on_is_the_streams_own(each: str) -> None:
    sent = [
        Packet(0, n * 3_600, place == 4, piece)
        for n in range(30)
        for place, piece in enumerate(in_fragments(SLICE, "H264", 20))
    ]
    made = [
        of_source(number // 5 if each == "picture" else number, data)
        for number, data in enumerate(packets(sent))
    ]
    assert frames_of(made) == [annex_b([SLICE])] * 30


def test_packets_without_sequence_numbers_are_taken() -> None:
    sent = [Packet(0, n * 3_600, True, SLICE) for n in range(30)]
    got = frames_of(one for packet in sent for one in packets([packet], 0))
    assert got == [annex_b([SLICE])] * (30 - 7)  # the first ones may be the same packet again


def test_a_payload_type_that_is_not_the_sdps_is_taken_if_no_other_comes() -> None:
    made = packets([Packet(0, n * 3_600, True, SLICE) for n in range(40)])
    other = [data[:1] + bytes([data[1] & 0x80 | 101]) + data[2:] for data in made]
    reports = [data[:1] + b"\xc8" + data[2:] for data in made]
    assert frames_of(reports) == []
    assert frames_of([*reports, *other]) == [annex_b([SLICE])] * (40 - 15)
    # The SDP's own counts as soon as it comes.
    assert frames_of([*other[:20], *made[20:], *other]) == [annex_b([SLICE])] * 25


def test_numbers_that_begin_again_are_no_loss_and_repeated_packets_are_left_out() -> None:
    made = packets([Packet(0, n * 3_600, True, SLICE) for n in range(10)], 40_000)
    again = packets([Packet(0, 36_000 + n * 3_600, True, SLICE) for n in range(10)], 100)
    assert len(frames_of([each for one in made for each in (one, one)] + again)) == 20


def test_a_recovery_point_is_a_place_to_begin() -> None:
    recovery = b"\x06" + b"\x05\x03abc" + b"\x06\x01\x84" + b"\x80"
    assert has_recovery_point(recovery)
    assert not has_recovery_point(b"\x06\x05\x03abc\x80")
    assert not has_recovery_point(b"\x06" + b"\xff" * 300)
    slice_ = b"\x41\x9a\x00"
    done = taken(packets([Packet(0, 0, False, recovery), Packet(0, 0, True, slice_)]), "H264")
    assert [picture.keyframe for picture in done] == [True]


def bits(*numbers: int | str) -> bytes:
    """Return bits: text as it is, numbers as Exp-Golomb codes; padded to whole bytes."""
    text = ""
    for number in numbers:
        code = number if isinstance(number, str) else f"{number + 1:b}"
        text += code if isinstance(number, str) else "0" * (len(code) - 1) + code
    text += "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def sps_of(*, only_frames: bool, profile: int = 77) -> bytes:
    high = (1, 0, 0, "0", "0") if profile == 100 else ()
    size = (11, 17, "1" if only_frames else "00", "10")
    return b"\x67" + bytes([profile, 0, 30]) + bits(0, *high, 0, 2, 1, "0", *size)


def slice_of(frame_number: int, field: str, nal: bytes = b"\x41") -> bytes:
    return nal + bits(0, 5, 0, f"{frame_number % 16:04b}", field) + b"\xaa" * 30


@pytest.mark.parametrize("profile", [77, 100])
@pytest.mark.parametrize("later", [0, 1_800], ids=["one stamp", "two stamps"])
def test_two_fields_of_a_frame_are_one_access_unit(profile: int, later: int) -> None:
    sps, expected = sps_of(only_frames=False, profile=profile), []
    sent = [Packet(0, 0, False, sps)]
    for number in range(12):
        fields = [slice_of(number, "10", b"\x41" if number else b"\x65"), slice_of(number, "11")]
        if number == 5:  # a frame that is not a pair of fields
            fields = [slice_of(number, "0")]
        for place, unit in enumerate(fields):
            sent.append(Packet(0, number * 3_600 + place * later, True, unit))
        expected.append(annex_b([*([] if number else [sps]), *fields]))
    assert frames_of(packets(sent)) == expected


def test_slices_of_frames_only_are_not_taken_for_fields() -> None:
    sent = [Packet(0, 0, False, sps_of(only_frames=True))]
    sent += [
        Packet(0, n * 3_600, True, slice_of(n // 2, "11" if n % 2 else "10")) for n in range(8)
    ]
    assert len(frames_of(packets(sent))) == 8
    assert field_format(b"\x67\x4d") is None and field_format(b"\x67") is None
