"""Sound out of RTP packets: what FFmpeg takes it for, and what is left to FFmpeg's own reader."""

import random

import av
import numpy as np
import pytest

from edge_bridge.rtsp.audio_depacketizer import AudioDepacketizer
from edge_bridge.rtsp.errors import UnsupportedStreamError
from tests.odd_rtsp import aac, alaw
from tests.rtsp_camera import Packet
from tests.unit.edge_bridge.rtp_packets import packets, sound

HBR = {"mode": "AAC-hbr", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}


def taken(sounds: AudioDepacketizer, sent: list[bytes]) -> None:
    for packet in sent:
        sounds.push(bytearray(b"\xee" + packet + b"\xee"), 1, 1 + len(packet))


def heard(sounds: AudioDepacketizer) -> int:
    """Samples that FFmpeg decodes of what was taken."""
    count = 0
    for piece in sounds.ready:
        packet = av.Packet(piece.data)
        packet.stream, packet.pts, packet.time_base = sounds.stream, piece.ticks, sounds.time_base
        for frame in packet.decode():
            assert isinstance(frame, av.AudioFrame)
            assert np.isfinite(frame.to_ndarray().astype(float)).all()
            count += frame.samples
    return count


def test_g711_passes_as_it_is() -> None:
    sounds = AudioDepacketizer(sound("PCMA", 8_000))
    taken(sounds, packets(alaw(1).packets()))
    assert [piece.ticks for piece in sounds.ready[:3]] == [0, 320, 640]
    assert {piece.duration for piece in sounds.ready} == {320}
    assert heard(sounds) == 8_000
    context = sounds.stream.codec_context
    assert (context.name, context.sample_rate, context.layout.nb_channels) == ("pcm_alaw", 8_000, 1)


def test_aac_gets_the_head_that_mpeg_ts_wants() -> None:
    sounds = AudioDepacketizer(sound("MPEG4-GENERIC", 48_000, **HBR, config="1188"))
    sent = list(aac(1, ";config=1188").packets())
    taken(sounds, packets(sent))
    assert len(sounds.ready) == len(sent)
    assert [piece.ticks for piece in sounds.ready[:3]] == [0, 1_024, 2_048]
    assert all(piece.data[:2] == b"\xff\xf1" for piece in sounds.ready)
    assert heard(sounds) >= 1_024 * (len(sent) - 2)
    context = sounds.stream.codec_context
    assert (context.name, context.sample_rate, context.layout.nb_channels) == ("aac", 48_000, 1)


def test_several_frames_in_a_packet_follow_one_another() -> None:
    sounds = AudioDepacketizer(sound("MPEG4-GENERIC", 48_000, **HBR, config="1188"))
    one, two = (packet.payload[4:] for packet in list(aac(1, "").packets())[:2])
    sizes = [(len(frame) << 3).to_bytes(2, "big") for frame in (one, two)]
    taken(
        sounds, packets([Packet(0, 9, True, (32).to_bytes(2, "big") + b"".join(sizes) + one + two)])
    )
    assert [(piece.ticks, piece.data[7:]) for piece in sounds.ready] == [(0, one), (1_024, two)]


def test_rubbish_raises_nothing() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sounds = AudioDepacketizer(sound("MPEG4-GENERIC", 48_000, **HBR, config="1188"))
    for _ in range(5_000):
        data = packets([Packet(0, 9, True, chance.randbytes(chance.randrange(1, 40)))])[0]
        taken(sounds, [data[: chance.randrange(len(data) + 1)]])


@pytest.mark.parametrize(
    "media",
    [
        sound("G726-32", 8_000),
        sound("MPEG4-GENERIC", 48_000, **HBR),
        sound("MPEG4-GENERIC", 48_000, **HBR, config="ffffffff"),
        sound("MPEG4-GENERIC", 48_000, **HBR, config="zz"),
        sound("MPEG4-GENERIC", 44_100, **HBR, config="1188"),
        sound("MPEG4-GENERIC", 48_000, mode="AAC-lbr", config="1188"),
        sound("MPEG4-GENERIC", 24_000, **HBR, config="2B098800"),
    ],
    ids=lambda media: f"{media.encoding} {media.fmtp.get('config')} {media.clock_hz}",
)
def test_unusual_sound_is_left_to_ffmpeg(media: object) -> None:
    with pytest.raises(UnsupportedStreamError):
        AudioDepacketizer(media)  # type: ignore[arg-type]
