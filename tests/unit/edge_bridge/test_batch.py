"""Frames that were read together: a run may end among them, and no frame is lost."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import pytest

from edge_bridge.capture.batch import BatchReader
from edge_bridge.rtsp.errors import CameraError
from media import native
from media.access_unit import AccessUnit
from media.fragmenter import Fragment, Fragmenter, FragmentLimits
from tests.footage import write_clip
from tests.unit.edge_bridge.test_capture import (
    T0_MS,
    Film,
    RecordingCollector,
    _no_waiting,
    finished,
    made,
)

__all__ = ["_no_waiting"]


@pytest.fixture(autouse=True, params=[False, True], ids=["Python", "native"])
def _writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes the transport stream."""
    if request.param and not native.AVAILABLE:
        pytest.skip("the extension is not built")
    defaults = {**(Fragmenter.__init__.__kwdefaults__ or {}), "use_native": request.param}
    monkeypatch.setattr(Fragmenter.__init__, "__kwdefaults__", defaults)


def units(path: Path, first: int = 0) -> list[AccessUnit]:
    """The frames of a clip in MPEG-TS, 25 a second, as the RTSP client gives them."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        return [
            AccessUnit(
                (first + n) * 3_600,
                bytes(packet),
                packet.is_keyframe,
                packet.is_keyframe,
                T0_MS + (first + n) * 40,
            )
            for n, packet in enumerate(packets)
        ]


class InBatches(Film):
    """A camera whose frames come `size` at a time."""

    def __init__(self, path: Path, clock: list[int], frames: list[AccessUnit], size: int) -> None:
        super().__init__(path, clock)
        self.low_latency, self.audio_problem = False, ""
        self._frames, self._size = frames, size

    def batches(self) -> Iterator[Sequence[AccessUnit]]:
        for at in range(0, len(self._frames), self._size):
            batch = self._frames[at : at + self._size]
            self._clock[0] = batch[-1].arrived_ms
            yield batch
        raise self._end


@pytest.mark.parametrize("size", [1, 7, 60, 1_000])
async def test_a_run_ends_within_a_batch(tmp_path: Path, size: int) -> None:
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    write_clip(small, 100)
    write_clip(large, 100, width=256)
    frames = [*units(small), *units(large, 100)]
    kept, clock = RecordingCollector(), [T0_MS]
    await finished(made([lambda: InBatches(small, clock, frames, size)], kept, clock), kept, 2)
    (first, _, why), (second, _, end) = kept.ends
    assert "size from 192x128 to 256x128" in why and "closed the stream" in end
    assert [(event.width, event.frames) for event in kept.of(first)] == [(192, 50)] * 2
    assert [(event.width, event.frames) for event in kept.of(second)] == [(256, 50)] * 2


def test_units_and_packets_give_the_same_fragments(tmp_path: Path) -> None:
    clip = tmp_path / "clip.ts"
    write_clip(clip, 130)
    frames = units(clip)
    outcomes: list[list[Fragment]] = []
    for as_packets in (True, False):
        with av.open(str(clip)) as container:
            video = container.streams.video[0]
            fragmenter = Fragmenter(video, None, FragmentLimits(target_ms=2_000))
            found: list[Fragment] = []
            if as_packets:
                packets = [packet for packet in container.demux(video) if packet.size]
                for n, packet in enumerate(packets):
                    packet.pts = packet.dts = n * 3_600
                    found += fragmenter.push(packet, frames[n].arrived_ms)
            else:
                for unit in frames:
                    found += fragmenter.push_unit(unit)
            outcomes.append([*found, *fragmenter.finish()])
    assert outcomes[0] == outcomes[1]
    assert [each.frames for each in outcomes[0]] == [50, 50, 30]


async def test_a_fragment_that_is_closed_keeps_its_hash_while_the_next_one_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame is larger than a piece: the next fragment's first piece comes before the event."""
    monkeypatch.setattr("media.fragmenter.PIECE_BYTES", 1)
    clip = tmp_path / "clip.ts"
    write_clip(clip, 150)
    kept, clock = RecordingCollector(), [T0_MS]  # compares size and hash with what it was given
    await finished(made([lambda: InBatches(clip, clock, units(clip), 7)], kept, clock), kept, 1)
    ((run, _, _),) = kept.ends
    assert [event.frames for event in kept.of(run)] == [50, 50, 50]


def test_pieces_and_the_rest_are_the_fragment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.fragmenter.PIECE_BYTES", 5_000)
    clip = tmp_path / "clip.ts"
    write_clip(clip, 130)
    outcomes: list[list[Any]] = []
    for in_pieces in (False, True):
        pieces: dict[int, bytes] = {}

        def add(seq: int, data: bytes, pieces: dict[int, bytes] = pieces) -> None:
            assert len(data) >= 5_000
            pieces[seq] = pieces.get(seq, b"") + data

        with av.open(str(clip)) as container:
            fragmenter = Fragmenter(
                container.streams.video[0],
                None,
                FragmentLimits(target_ms=2_000),
                on_piece=add if in_pieces else None,
            )
            found = [each for unit in units(clip) for each in fragmenter.push_unit(unit)]
            found += fragmenter.finish()
        outcomes.append(
            [
                (each.seq, pieces.get(each.seq, b"") + each.data, each.size, each.keyframes)
                for each in found
            ]
        )
        assert bool(pieces) == in_pieces
    assert outcomes[0] == outcomes[1]
    assert all(len(data) == size for _, data, size, _ in outcomes[0])


def test_audio_without_video_counts_as_no_data(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 10)

    class Audio(Film):
        def packets(self) -> Iterator[tuple[Any, int]]:
            yield from ((packet, 0) for packet, _ in super().packets())

    source = Audio(clip, [T0_MS])
    source.video = None  # type: ignore[assignment]
    with pytest.raises(CameraError, match="only audio"):
        list(BatchReader(source, -1))
