class AccessUnitScanner:
    """Reads the packets of one stream, in the usual case. It has no state."""

    def __init__(
        self,
        channel: int,
        header_size: int,
        fragmentation: int,
        slices: int,
        irap: int,
        others: int,
        skipped: int,
        sei: int | None,
    ) -> None:
        """`slices`, `irap`, `others`, `skipped`: a bit for each type of NAL unit.

        `others` do not matter to recording. Packets of type `skipped` say nothing about where an
        access unit ends. `sei`: the type, if one may hold a recovery point.
        """

    def scan(
        self,
        data: bytearray,
        at: int,
        end: int,
        payload_type: int,
        ssrc: int,
        first_number: int,
        open_timestamp: int,
    ) -> tuple[int, int, int, list[tuple[int, bytes, bool]]]:
        """Read the complete usual access units that begin at `at`.

        Returns where the first packet begins that was not read, its timestamp, how many packets
        were read, and the access units: RTP timestamp, bytes, whether it is a keyframe.
        """

    def middle_fragments(
        self,
        data: bytearray,
        at: int,
        end: int,
        payload_type: int,
        ssrc: int,
        first_number: int,
        timestamp: int,
        prefix: bytes,
    ) -> tuple[int, int, bytes]:
        """Read middle fragments of a NAL unit, whose payload begins with `prefix`.

        Returns where the first other packet begins, how many were read, and their bytes.
        """

class TransportStreamWriter:
    """Writes the video of one run as MPEG-TS, byte for byte as FFmpeg's muxer."""

    def __init__(self, is_hevc: bool, parameter_sets: bytes, pcr_period: int) -> None: ...
    def append(self, packets: bytes) -> None:
        """Append whole packets as they are, such as tables."""

    def write(self, unit: bytes, pts: int, dts: int, keyframe: bool) -> int:
        """Append an access unit in Annex B form; return how many bytes were written.

        Raises ValueError if it is empty, or if its times are wrong.
        """

    def take(self) -> bytes:
        """Return what was written since the last call."""

    def __len__(self) -> int: ...
