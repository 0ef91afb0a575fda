"""The audio depacketizer: what FFmpeg decodes of its frames, and what it does not support."""

import random

import av
import numpy as np
import pytest

from edge_bridge.rtsp.audio_depacketizer import AudioDepacketizer
from edge_bridge.rtsp.errors import UnsupportedStreamError
from tests.odd_rtsp import aac, alaw
from tests.rtsp_camera import Packet
from tests.unit.edge_bridge.rtp_packets import audio, packets

HBR = {"mode": "AAC-hbr", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}


def taken(depacketizer: AudioDepacketizer, sent: list[bytes]) -> None:
    for packet in sent:
        depacketizer.push(bytearray(b"\xee" + packet + b"\xee"), 1, 1 + len(packet))


def heard(depacketizer: AudioDepacketizer) -> int:
    """Samples that FFmpeg decodes of what was taken."""
    count = 0
    for frame in depacketizer.ready:
        packet = av.Packet(frame.data)
        packet.stream, packet.pts, packet.time_base = (
            depacketizer.stream,
            frame.ticks,
            depacketizer.time_base,
        )
        for decoded in packet.decode():
            assert isinstance(decoded, av.AudioFrame)
            assert np.isfinite(decoded.to_ndarray().astype(float)).all()
            count += decoded.samples
    return count


def test_g711_is_unchanged() -> None:
    depacketizer = AudioDepacketizer(audio("PCMA", 8_000))
    taken(depacketizer, packets(alaw(1).packets()))
    assert [frame.ticks for frame in depacketizer.ready[:3]] == [0, 320, 640]
    assert {frame.duration for frame in depacketizer.ready} == {320}
    assert heard(depacketizer) == 8_000
    context = depacketizer.stream.codec_context
    assert (context.name, context.sample_rate, context.layout.nb_channels) == ("pcm_alaw", 8_000, 1)


def test_aac_gets_adts_headers() -> None:
    depacketizer = AudioDepacketizer(audio("MPEG4-GENERIC", 48_000, **HBR, config="1188"))
    sent = list(aac(1, ";config=1188").packets())
    taken(depacketizer, packets(sent))
    assert len(depacketizer.ready) == len(sent)
    assert [frame.ticks for frame in depacketizer.ready[:3]] == [0, 1_024, 2_048]
    assert all(frame.data[:2] == b"\xff\xf1" for frame in depacketizer.ready)
    assert heard(depacketizer) >= 1_024 * (len(sent) - 2)
    context = depacketizer.stream.codec_context
    assert (context.name, context.sample_rate, context.layout.nb_channels) == ("aac", 48_000, 1)


def test_several_frames_in_a_packet_follow_one_another() -> None:
    depacketizer = AudioDepacketizer(audio("MPEG4-GENERIC", 48_000, **HBR, config="1188"))
    one, two = (packet.payload[4:] for packet in list(aac(1, "").packets())[:2])
    sizes = [(len(frame) << 3).to_bytes(2, "big") for frame in (one, two)]
    taken(
        depacketizer,
        packets([Packet(0, 9, True, (32).to_bytes(2, "big") + b"".join(sizes) + one + two)]),
    )
    assert [(frame.ticks, frame.data[7:]) for frame in depacketizer.ready] == [
        (0, one),
        (1_024, two),
    ]


def test_garbage_raises_nothing() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    depacketizer = AudioDepacketizer(audio("MPEG4-GENERIC", 48_000, **HBR, config="1188"))
    for _ in range(5_000):
        data = packets([Packet(0, 9, True, chance.randbytes(chance.randrange(1, 40)))])[0]
        taken(depacketizer, [data[: chance.randrange(len(data) + 1)]])


@pytest.mark.parametrize(
    "media",
    [
        audio("G726-32", 8_000),
        audio("MPEG4-GENERIC", 48_000, **HBR),
        audio("MPEG4-GENERIC", 48_000, **HBR, config="ffffffff"),
        audio("MPEG4-GENERIC", 48_000, **HBR, config="zz"),
        audio("MPEG4-GENERIC", 44_100, **HBR, config="1188"),
        audio("MPEG4-GENERIC", 48_000, mode="AAC-lbr", config="1188"),
        audio("MPEG4-GENERIC", 24_000, **HBR, config="2B098800"),
    ],
    ids=lambda media: f"{media.encoding} {media.fmtp.get('config')} {media.clock_hz}",
)
def test_other_audio_is_unsupported(media: object) -> None:
    with pytest.raises(UnsupportedStreamError):
        AudioDepacketizer(media)  # type: ignore[arg-type]
