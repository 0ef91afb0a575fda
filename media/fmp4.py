"""Encoded frames as fragmented MP4 for the live view (ISO/IEC 14496-12, -15), at once.

    frames    K       .       .            K       .
    MP4       ftyp moov | moof mdat | moof mdat | moof mdat ...
              init        segment     segment     segment

FFmpeg writes the init segment: it knows the boxes of each codec. The media segments are ours.
FFmpeg closes a segment when the next frame comes, so each would be one frame late. See
docs/design/live-player.md.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from domain.errors import MediaError
from media.video_probe import probe_keyframe

HZ = 90_000
VIDEO_TRACK = 1
AUDIO_TRACK = 2

_START_CODE = b"\x00\x00\x01"
_OPEN_DURATION = 2 * HZ
"""Declared for a segment's last video frame, whose duration is not known yet.

Where a frame comes more than two durations after the last one, a browser drops all until the next
keyframe. See Media Source Extensions, coded frame processing. A longer duration costs nothing: the
next frame ends it.
"""
_MAX_DURATION = 10 * HZ
_SYNC_SAMPLE = 0x0200_0000
_NON_SYNC_SAMPLE = 0x0101_0000
_PARAMETER_SETS = {"h264": frozenset({7, 8, 13, 15}), "hevc": frozenset({32, 33, 34})}
_DROPPED = {"h264": frozenset({9, 12}), "hevc": frozenset({35, 38})}
"""Access unit delimiters and filler data."""
_OPTIONS = {
    "movflags": "empty_moov+default_base_moof+cmaf",
    "fflags": "bitexact",
    "video_track_timescale": str(HZ),
}
_AAC_OBJECT_TYPE_ESCAPE = 31

_BOX = struct.Struct(">I4s")
_MFHD = struct.Struct(">I4sII")
_TFHD = struct.Struct(">I4sII")
_TFDT = struct.Struct(">I4sIQ")
_TRUN = struct.Struct(">I4sIIi")
_SAMPLE = struct.Struct(">IIIi")
_DEFAULT_BASE_IS_MOOF = 0x02_0000
_VERSION_1 = 0x0100_0000
_TRUN_FLAGS = _VERSION_1 | 0x01 | 0x100 | 0x200 | 0x400 | 0x800
"""Data offset; duration, size, flags and signed composition offset of each sample."""


class VideoParameters(NamedTuple):
    """How the video is encoded."""

    codec: Literal["h264", "hevc"] | str
    """FFmpeg's name."""
    extradata: bytes
    """Parameter sets: Annex B, avcC or hvcC; empty if the keyframe has them.

    With avcC or hvcC each NAL unit of a frame follows its length, else its start code.
    """
    keyframe: bytes
    """A keyframe, with the parameter sets that the extradata lack."""


class AudioParameters(NamedTuple):
    """How the audio is encoded."""

    codec: Literal["aac", "opus"] | str
    extradata: bytes
    """AAC: its AudioSpecificConfig. Opus: nothing."""
    sample_rate: int
    channels: int


class MediaFrame(NamedTuple):
    """One frame of video or audio. Ticks of 90 kHz."""

    data: bytes
    pts: int
    dts: int
    keyframe: bool
    is_audio: bool = False
    duration: int = 0
    """0: not known."""


class Fmp4Muxer:
    """Makes the segments of one stream whose encoding does not change. Blocking, without I/O."""

    def __init__(self, video: VideoParameters, audio: AudioParameters | None = None) -> None:
        """Raises MediaError if FFmpeg cannot read the keyframe."""
        if video.codec not in _PARAMETER_SETS:
            raise MediaError(f"{video.codec} is not played live: set the camera to H.264 or H.265")
        self._codec = video.codec
        self._header_shift, self._header_mask = (0, 0x1F) if video.codec == "h264" else (1, 0x3F)
        self._length_size = _length_size(video)
        """Bytes of the length before each NAL unit of a frame; 0: start codes."""
        keyframe = self._annex_b(video)
        stream = probe_keyframe(keyframe, video.codec)
        if stream is None:
            raise MediaError("the keyframe cannot be read: its parameter sets are missing or wrong")
        self.width, self.height = stream.codec_context.width, stream.codec_context.height
        self._sets = frozenset(
            unit for unit in _units(keyframe) if self._type_of(unit) in _PARAMETER_SETS[video.codec]
        )
        self._audio_rate = 0 if audio is None else audio.sample_rate
        output = _Output()
        try:
            with av.open(output, "w", format="mp4", options=_OPTIONS) as container:
                copy = container.add_stream_from_template(stream)
                if video.codec == "hevc":
                    copy.codec_context.codec_tag = "hvc1"  # Apple's players need it
                if audio is not None:
                    _add_audio(container, audio)
                container.start_encoding()
                self._init = b"".join(output.writes)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"the stream cannot be put into MP4 ({error})") from error
        self.codecs = ",".join(
            [_video_codec(self._init), *([] if audio is None else [_audio_codec(audio)])]
        )
        """RFC 6381, as a browser's MediaSource takes it: `avc1.64001f,mp4a.40.2`."""
        self._sequence = 0
        self._audio_duration = 1_024 * HZ // (self._audio_rate or HZ)
        self._audio_dts: int | None = None
        """Of the newest frame of audio."""

    def init(self) -> bytes:
        """Return the init segment."""
        return self._init

    def accepts(self, keyframe: bytes) -> bool:
        """Return whether a keyframe belongs to this init segment: no parameter set is new."""
        types = _PARAMETER_SETS[self._codec]
        return all(
            unit in self._sets for unit in self._split(keyframe) if self._type_of(unit) in types
        )

    def segment(self, frames: Sequence[MediaFrame]) -> bytes:
        """Return one media segment of these frames, in decode order: one, or some.

        The duration of the last video frame is not known yet: what is declared is the longest that
        it may have.
        """
        tracks: list[tuple[int, int, list[bytes]]] = []
        payload: list[bytes] = []
        for is_audio in (False, True):
            own = [frame for frame in frames if frame.is_audio == is_audio]
            if own and not (is_audio and not self._audio_rate):
                samples, data = self._samples(own, is_audio)
                tracks.append((AUDIO_TRACK if is_audio else VIDEO_TRACK, own[0].dts, samples))
                payload.append(data)
        self._sequence += 1
        trafs_size = sum(_traf_size(len(samples)) for _, _, samples in tracks)
        moof_size = _BOX.size + _MFHD.size + trafs_size
        parts = [
            _BOX.pack(moof_size, b"moof"),
            _MFHD.pack(_MFHD.size, b"mfhd", 0, self._sequence),
        ]
        offset = moof_size + _BOX.size
        for (track, dts, samples), data in zip(tracks, payload, strict=True):
            at = self._audio_ticks(dts) if track == AUDIO_TRACK else dts
            trun_size = _TRUN.size + _SAMPLE.size * len(samples)
            parts += (
                _BOX.pack(_traf_size(len(samples)), b"traf"),
                _TFHD.pack(_TFHD.size, b"tfhd", _DEFAULT_BASE_IS_MOOF, track),
                _TFDT.pack(_TFDT.size, b"tfdt", _VERSION_1, at),
                _TRUN.pack(trun_size, b"trun", _TRUN_FLAGS, len(samples), offset),
                *samples,
            )
            offset += len(data)
        parts.append(_BOX.pack(_BOX.size + sum(map(len, payload)), b"mdat"))
        return b"".join(parts + payload)

    def _samples(self, frames: list[MediaFrame], is_audio: bool) -> tuple[list[bytes], bytes]:
        """Return the rows of `trun`, and the samples' bytes."""
        rows: list[bytes] = []
        samples: list[bytes] = []
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            duration = self._duration(frame, following)
            if is_audio:
                sample = _without_adts(frame.data)
                ticks, shift = self._audio_ticks(duration), 0
            else:
                sample = self._sample(frame.data)
                ticks, shift = duration, frame.pts - frame.dts
            flags = _SYNC_SAMPLE if frame.keyframe or is_audio else _NON_SYNC_SAMPLE
            rows.append(_SAMPLE.pack(ticks, len(sample), flags, shift))
            samples.append(sample)
        return rows, b"".join(samples)

    def _duration(self, frame: MediaFrame, following: MediaFrame | None) -> int:
        if frame.is_audio:
            if self._audio_dts is not None and 0 < frame.dts - self._audio_dts <= _MAX_DURATION:
                self._audio_duration = frame.dts - self._audio_dts
            self._audio_dts = frame.dts
        if frame.duration:
            return frame.duration
        if following is not None and 0 < following.dts - frame.dts <= _MAX_DURATION:
            return following.dts - frame.dts
        return self._audio_duration if frame.is_audio else _OPEN_DURATION

    def _audio_ticks(self, ticks: int) -> int:
        return (ticks * self._audio_rate + HZ // 2) // HZ

    def _sample(self, data: bytes) -> bytes:
        """Return a video frame with a length of 4 bytes before each NAL unit.

        What the init segment has already is left out. Other parameter sets stay: browsers use them.
        """
        if self._length_size == 4:
            return data
        dropped = _DROPPED[self._codec]
        parts: list[bytes] = []
        for unit in self._split(data):
            if self._type_of(unit) in dropped or unit in self._sets:
                continue
            parts += (len(unit).to_bytes(4, "big"), unit)
        return b"".join(parts)

    def _split(self, data: bytes) -> Iterator[bytes]:
        return _prefixed_units(data, self._length_size) if self._length_size else _units(data)

    def _type_of(self, unit: bytes) -> int:
        return unit[0] >> self._header_shift & self._header_mask

    def _annex_b(self, video: VideoParameters) -> bytes:
        """Return the keyframe with all parameter sets, in Annex B form."""
        units = list(self._split(video.keyframe))
        types = _PARAMETER_SETS[video.codec]
        own = {self._type_of(unit) for unit in units} & types
        sets = _sets_of_box(video) if self._length_size else _units(video.extradata)
        before = [unit for unit in sets if self._type_of(unit) in types - own]
        return b"".join(_START_CODE + unit for unit in [*before, *units])


class _Output:
    """Collects what FFmpeg writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.writes.append(bytes(data))
        return len(data)


def _traf_size(samples: int) -> int:
    return _BOX.size + _TFHD.size + _TFDT.size + _TRUN.size + samples * _SAMPLE.size


def _length_size(video: VideoParameters) -> int:
    if video.extradata[:1] != b"\x01":
        return 0
    at = 4 if video.codec == "h264" else 21
    if len(video.extradata) <= at:
        raise MediaError("the stream's parameter sets are cut off")
    return (video.extradata[at] & 3) + 1


def _units(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units of bytes in Annex B form. None of them ends with a zero."""
    for unit in data.split(_START_CODE):
        if unit := unit.rstrip(b"\x00"):
            yield unit


def _prefixed_units(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        end = at + size + int.from_bytes(data[at : at + size], "big")
        if unit := data[at + size : end]:
            yield unit
        at = end


def _sets_of_box(video: VideoParameters) -> Iterator[bytes]:
    """Yield the parameter sets of avcC or hvcC (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1)."""
    box = video.extradata
    at = 5 if video.codec == "h264" else 23
    arrays = 2 if video.codec == "h264" else box[22] if len(box) > 22 else 0
    for number in range(arrays):
        if video.codec == "hevc":
            count = int.from_bytes(box[at + 1 : at + 3], "big")
            at += 3
        else:
            count = (box[at] & (0x1F if number == 0 else 0xFF)) if at < len(box) else 0
            at += 1
        for _ in range(count):
            size = int.from_bytes(box[at : at + 2], "big")
            if unit := box[at + 2 : at + 2 + size]:
                yield unit
            at += 2 + size


def _add_audio(container: OutputContainer, audio: AudioParameters) -> None:
    name = {"aac": "aac", "opus": "libopus"}.get(audio.codec)
    if name is None:
        raise MediaError(f"browsers do not play {audio.codec} from MP4")
    layout = "mono" if audio.channels == 1 else "stereo"
    stream = cast(AudioStream, container.add_stream(name, rate=audio.sample_rate, layout=layout))
    stream.codec_context.open()
    if audio.codec == "aac" and audio.extradata:
        stream.codec_context.extradata = audio.extradata


def _without_adts(data: bytes) -> bytes:
    """Return an AAC frame without its ADTS header: MP4 has none."""
    if len(data) > 9 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]
    return data


def _video_codec(init: bytes) -> str:
    """Return the video's name of RFC 6381 from its avcC or hvcC (ISO/IEC 14496-15, annex E)."""
    at = init.find(b"avcC")
    if at >= 0:
        return "avc1." + init[at + 5 : at + 8].hex()
    at = init.find(b"hvcC")
    if at < 0:
        raise MediaError("the stream cannot be put into MP4 (no avcC, no hvcC)")
    profile, compatibility, constraints, level = struct.unpack_from(">BI6sB", init, at + 5)
    space = ("", "A", "B", "C")[profile >> 6]
    flags = int(f"{compatibility:032b}"[::-1], 2)
    names = [
        f"hvc1.{space}{profile & 0x1F}",
        f"{flags:X}",
        f"{'H' if profile & 0x20 else 'L'}{level}",
        *(f"{byte:X}" for byte in constraints.rstrip(b"\x00")),
    ]
    return ".".join(names)


def _audio_codec(audio: AudioParameters) -> str:
    if audio.codec == "opus":
        return "opus"
    config = audio.extradata or b"\x10"
    kind = config[0] >> 3
    if kind == _AAC_OBJECT_TYPE_ESCAPE and len(config) > 1:
        kind = 32 + ((config[0] & 7) << 3 | config[1] >> 5)
    return f"mp4a.40.{kind}"
