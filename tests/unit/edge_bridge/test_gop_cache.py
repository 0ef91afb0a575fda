"""The current group of pictures: what a new live sink gets first, and what is not kept."""

import pytest

from edge_bridge.capture import gop_cache
from edge_bridge.capture.gop_cache import GopCache, bytes_per_feed
from edge_bridge.encoded_frame import (
    AudioCodecParameters,
    CodecParameters,
    EncodedAudio,
    EncodedFrame,
)

PARAMETERS = CodecParameters("h264", b"", 192, 128)


class Sink:
    """Notes the PTS of what it got; audio with a minus."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def video(self, frame: EncodedFrame, dts: int, audio: AudioCodecParameters | None) -> None:
        assert dts == frame.pts
        self.got.append(frame.pts)

    def audio(self, frame: EncodedAudio) -> None:
        self.got.append(-frame.pts)


def push(cache: GopCache, *pts: int, gop: int = 10, size: int = 100) -> None:
    """Push pictures; each `gop`th is a keyframe."""
    for each in pts:
        data = bytes(size)
        frame = EncodedFrame("a/b/c", "run", data, each, each, each % gop == 0, PARAMETERS)
        cache.video(frame, each, None)


def audio(cache: GopCache, pts: int) -> None:
    cache.audio(EncodedAudio("a/b/c", "run", b"tone", pts))


def test_a_new_sink_gets_all_since_the_keyframe_and_then_what_comes() -> None:
    cache, first, second = GopCache(), Sink(), Sink()
    push(cache, 5, 6)
    audio(cache, 7)
    assert cache.size == 0, "nothing before the first keyframe is of use"
    push(cache, 10, 11)
    audio(cache, 12)
    cache.set_sinks((first,))
    push(cache, 13)
    cache.set_sinks((first, second))
    push(cache, 20, 21)
    cache.set_sinks((second,))
    push(cache, 22)
    assert first.got == [10, 11, -12, 13, 20, 21]
    assert second.got == [10, 11, -12, 13, 20, 21, 22]
    assert cache.size == 300


def test_a_sink_that_comes_again_gets_what_is_kept_again() -> None:
    cache, sink = GopCache(), Sink()
    push(cache, 10, 11)
    cache.set_sinks((sink,))
    cache.set_sinks(())
    assert not cache.is_watched
    push(cache, 12)
    cache.set_sinks((sink,))
    assert sink.got == [10, 11, 10, 11, 12]


def test_what_is_too_long_is_not_kept_and_still_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, first, second = GopCache(max_bytes=250), Sink(), Sink()
    cache.set_sinks((first,))
    push(cache, 10, 11, 12, 13)
    cache.set_sinks((first, second))
    assert cache.size == 0
    push(cache, 14, 20)
    assert first.got == [10, 11, 12, 13, 14, 20]
    assert second.got == [14, 20]
    assert cache.size == 100
    monkeypatch.setattr(gop_cache, "MAX_FRAMES", 3)
    push(cache, 21, 22, 23, size=1)
    assert cache.size == 0


def test_pictures_of_a_run_that_ended_are_forgotten() -> None:
    cache, sink = GopCache(), Sink()
    push(cache, 10, 11)
    cache.forget()
    push(cache, 12)
    cache.set_sinks((sink,))
    assert (sink.got, cache.size) == ([], 0)


def test_the_age_is_that_of_the_keyframe() -> None:
    cache = GopCache()
    assert cache.age_s is None
    push(cache, 10, 11)
    age_s = cache.age_s
    assert age_s is not None
    assert 0 <= age_s < 60


def test_many_cameras_share_the_memory() -> None:
    assert bytes_per_feed(0) == bytes_per_feed(16) == 6 << 20
    assert bytes_per_feed(64) == 96 << 20 >> 6
