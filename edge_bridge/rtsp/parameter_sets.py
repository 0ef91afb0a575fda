"""The parameter sets of a stream as they are now: from the SDP, and from the stream itself.

SDP             SPS PPS
access units    K       K       PPS' P       SPS" K        a camera sends only what changes
recorded        SPS PPS K       PPS' P       SPS" PPS' K   each keyframe has what it needs
"""

from edge_bridge.rtsp.h264_fields import RbspReader
from edge_bridge.rtsp.nal import START_CODE, NalTypes, own_parameter_sets, split_units

_MAX_BYTES = 64 << 10


class ParameterSets:
    """The newest VPS, SPS and PPS of one stream."""

    def __init__(self, types: NalTypes, sdp: bytes) -> None:
        """`sdp`: those of the SDP, in Annex B form."""
        self._types = types
        self._units: dict[tuple[int, int], bytes] = {}
        """By type and PPS id; the id of other types is their place."""
        self._replace(sdp)

    @property
    def can_decode(self) -> bool:
        """Whether an SPS and a PPS are known."""
        known = self._known_types()
        return self._types.sps in known and self._types.pps in known

    @property
    def sps(self) -> bytes:
        """The newest SPS, with its NAL unit header; empty if none is known."""
        return next((self._units[key] for key in self._units if key[0] == self._types.sps), b"")

    def learn(self, access_unit: bytes) -> None:
        """Learn the parameter sets of an access unit."""
        self._replace(own_parameter_sets(access_unit, self._types))

    def completed(self, keyframe: bytes) -> bytes:
        """Return a keyframe with all its parameter sets; learn those that it has."""
        own = own_parameter_sets(keyframe, self._types)
        self._replace(own)
        if self._known_types() <= {self._types.type_of(unit[0]) for unit in split_units(own)}:
            return keyframe
        return b"".join(START_CODE + self._units[key] for key in sorted(self._units)) + keyframe

    def _known_types(self) -> set[int]:
        return {nal_type for nal_type, _ in self._units}

    def _replace(self, sets: bytes) -> None:
        """Replace those of the same type. A PPS without an SPS replaces only the one of its id."""
        units = [(self._types.type_of(unit[0]), unit) for unit in split_units(sets)]
        types = {nal_type for nal_type, _ in units}
        if self._types.sps not in types:
            types.discard(self._types.pps)
        if sum(map(len, self._units.values())) + len(sets) > _MAX_BYTES:
            types = self._known_types()
        self._units = {key: unit for key, unit in self._units.items() if key[0] not in types}
        for place, (nal_type, unit) in enumerate(units):
            number = self._pps_id(unit) if nal_type == self._types.pps else place
            self._units[nal_type, number] = unit

    def _pps_id(self, unit: bytes) -> int:
        try:
            return RbspReader(unit[self._types.header_size :]).golomb()
        except IndexError:
            return 0
