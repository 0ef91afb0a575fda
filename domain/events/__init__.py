"""The events: a public contract, one model each, with a version, units and bounds.

Any recorder can take part: it PUTs a fragment into S3 and sends its notice.
"""

from domain.events.base import Event, Ranges
from domain.events.chunks import (
    ChunkComplete,
    ChunkDue,
    FragmentRef,
    Gap,
    ManifestFragment,
    VideoForm,
    WindowLost,
)
from domain.events.commands import EdgeCommand
from domain.events.control import (
    CameraConfigured,
    DeadLetter,
    DeadLetterMarked,
    Deleted,
    Healed,
    HealRequested,
    Tick,
    WindowsFrom,
)
from domain.events.detections import Detection, DetectionFrame, FoundObject
from domain.events.edge import CameraStatus, Heartbeat
from domain.events.fragments import FragmentArrived, Keyframe, RunEnded, RunStarted
from domain.events.registry import EVENTS, AnyEvent, SiteEvent, encode, parse

__all__ = [
    "EVENTS",
    "AnyEvent",
    "CameraConfigured",
    "CameraStatus",
    "ChunkComplete",
    "ChunkDue",
    "DeadLetter",
    "DeadLetterMarked",
    "Deleted",
    "Detection",
    "DetectionFrame",
    "EdgeCommand",
    "Event",
    "FoundObject",
    "FragmentArrived",
    "FragmentRef",
    "Gap",
    "HealRequested",
    "Healed",
    "Heartbeat",
    "Keyframe",
    "ManifestFragment",
    "Ranges",
    "RunEnded",
    "RunStarted",
    "SiteEvent",
    "Tick",
    "VideoForm",
    "WindowLost",
    "WindowsFrom",
    "encode",
    "parse",
]
