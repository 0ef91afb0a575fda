"""RTSP cameras that never end: clips, or GStreamer pipelines, served on a loopback port.

The system's Python runs it, since only that has GStreamer's bindings: `rtsp_server.py CONFIG.json`
(local/cameras.py writes it). Only the standard library and `gi` may be imported here.

A clip's coded frames are read once, then pushed at their time in a loop. Presentation time goes on
from round to round, so that a client sees one endless stream. Nothing is encoded.
"""

import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402

_PARSERS = {
    "video/x-h264": (
        "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au",
        "h264parse ! rtph264pay config-interval=1 aggregate-mode=none",
    ),
    "video/x-h265": (
        "h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au",
        "h265parse ! rtph265pay config-interval=1 aggregate-mode=none",
    ),
    "audio/x-alaw": ("identity", "rtppcmapay max-ptime=40000000"),
    "audio/x-mulaw": ("identity", "rtppcmupay max-ptime=40000000"),
    "audio/mpeg": ("aacparse ! audio/mpeg,stream-format=raw", "rtpmp4gpay"),
}


@dataclass
class Packet:
    """A coded frame; times in ns from the clip's start."""

    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes


@dataclass
class ClipTrack:
    """All coded frames of one stream of a clip."""

    caps: Any
    payloader: str
    packets: list[Packet]
    length: int


def read_clip(path: str) -> list[ClipTrack]:
    """Read the coded frames of a clip's streams, video first; exits if it has none."""
    pipeline = Gst.Pipeline()
    source = Gst.ElementFactory.make("filesrc")
    source.set_property("location", path)
    parse = Gst.ElementFactory.make("parsebin")
    pipeline.add(source)
    pipeline.add(parse)
    source.link(parse)
    tracks: list[ClipTrack] = []
    lock = threading.Lock()

    def on_pad(_parse: Any, pad: Any) -> None:
        kind = pad.get_current_caps().get_structure(0).get_name()
        if kind not in _PARSERS:
            return
        normalise, payloader = _PARSERS[kind]
        branch = Gst.parse_bin_from_description(
            f"{normalise} ! appsink name=out sync=false async=false emit-signals=true", True
        )
        track = ClipTrack(None, payloader, [], 0)
        with lock:
            tracks.append(track)

        def on_sample(sink: Any) -> Any:
            sample = sink.emit("pull-sample")
            buffer = sample.get_buffer()
            track.caps = track.caps or sample.get_caps()
            key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
            data = buffer.extract_dup(0, buffer.get_size())
            dts = buffer.pts if buffer.dts == Gst.CLOCK_TIME_NONE else buffer.dts
            track.packets.append(Packet(buffer.pts, dts, buffer.duration, key, data))
            return Gst.FlowReturn.OK

        branch.get_by_name("out").connect("new-sample", on_sample)
        pipeline.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    parse.connect("pad-added", on_pad)
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR
    )
    pipeline.set_state(Gst.State.NULL)
    if message is None or message.type == Gst.MessageType.ERROR:
        sys.exit(f"cannot read {path}: {message and message.parse_error()[0].message}")
    tracks = [track for track in tracks if track.packets]
    if not tracks:
        sys.exit(f"{path} has no stream that RTSP cameras send")
    tracks.sort(key=lambda track: track.caps.get_structure(0).get_name().startswith("audio"))
    for track in tracks:
        _normalise(path, track)
    return tracks


def _normalise(path: str, track: ClipTrack) -> None:
    """Let time begin at the earliest decode time; fill in durations; cut G.711 into 40 ms."""
    if any(packet.pts == Gst.CLOCK_TIME_NONE for packet in track.packets):
        sys.exit(f"a frame of {path} has no time stamp")
    structure = track.caps.get_structure(0)
    if structure.get_name() in ("audio/x-alaw", "audio/x-mulaw"):
        rate = structure.get_int("rate")[1] * structure.get_int("channels")[1]
        track.packets = [piece for packet in track.packets for piece in _cut(packet, rate)]
    start = min(packet.dts for packet in track.packets)
    shown = sorted(packet.pts for packet in track.packets)
    usual = (shown[-1] - shown[0]) // max(len(shown) - 1, 1)
    for packet in track.packets:
        packet.pts -= start
        packet.dts -= start
        if packet.duration == Gst.CLOCK_TIME_NONE:
            packet.duration = usual
    last = max(track.packets, key=lambda packet: packet.pts)
    track.length = shown[-1] - shown[0] + last.duration


def _cut(packet: Packet, rate: int) -> list[Packet]:
    step = rate // 25
    pieces = []
    for start in range(0, len(packet.data), step):
        data = packet.data[start : start + step]
        pts = packet.pts + start * Gst.SECOND // rate
        pieces.append(Packet(pts, pts, len(data) * Gst.SECOND // rate, True, data))
    return pieces


class ClipMedia:
    """A camera's clip as an endless stream, and the position at which a new session starts."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.tracks = read_clip(config["file"])
        self._loop = bool(config.get("loop", True))
        self._offset: int = int(config.get("offset_ms", 0)) * Gst.MSECOND
        self._born = time.monotonic_ns()
        sent_log = config.get("sent_log")
        self._sent_log = sent_log and Path(sent_log).open("a", buffering=1)  # noqa: SIM115 - kept

    def description(self) -> str:
        """Return the pipeline that sends the tracks."""
        parts = [
            f"appsrc name=track{number} is-live=true format=time block=false max-bytes=0 "
            f"! {track.payloader} name=pay{number} pt={96 + number}"
            for number, track in enumerate(self.tracks)
        ]
        return "( " + " ".join(parts) + " )"

    def configure(self, _factory: Any, media: Any) -> None:
        """Feed the sources of a new session, one thread each, until it is unprepared."""
        over = threading.Event()
        media.connect("unprepared", lambda _media: over.set())
        begin = self._session_begin()
        base = _StartTime()
        for number, track in enumerate(self.tracks):
            source = media.get_element().get_by_name(f"track{number}")
            source.set_property("caps", track.caps)
            threading.Thread(
                target=self._feed, args=(source, track, begin, base, over), daemon=True
            ).start()

    def _session_begin(self) -> int:
        """Return the position at which a session starts: a keyframe of the first track."""
        if not self._loop:
            return 0
        track = self.tracks[0]
        rounds, inside = divmod(time.monotonic_ns() - self._born + self._offset, track.length)
        keys = [packet.dts for packet in track.packets if packet.key and packet.dts <= inside]
        return rounds * track.length + max(keys, default=0)

    def _feed(
        self, source: Any, track: ClipTrack, begin: int, base: "_StartTime", over: Any
    ) -> None:
        # A track that is a little shorter than the first one repeats by its own length, so that
        # its time has no gaps.
        rounds, inside = divmod(begin, track.length)
        position = next((i for i, packet in enumerate(track.packets) if packet.dts >= inside), 0)
        if track.packets[position].dts < inside:
            rounds += 1
        start = base.wait(source, over)
        while not over.is_set():
            packet = track.packets[position]
            shift = start + rounds * track.length - begin
            while not over.is_set():
                now = _running_time(source, over)
                if now >= packet.dts + shift:
                    break
                over.wait((packet.dts + shift - now) / Gst.SECOND)
            if self._sent_log is not None and track is self.tracks[0]:
                self._sent_log.write(f"{position} {time.time_ns()}\n")
            buffer = Gst.Buffer.new_wrapped(packet.data)
            buffer.dts, buffer.pts = packet.dts + shift, packet.pts + shift
            buffer.duration = packet.duration
            if not packet.key:
                buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
            if over.is_set() or source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            position += 1
            if position == len(track.packets):
                position, rounds = 0, rounds + 1
                if not self._loop:
                    source.emit("end-of-stream")
                    return


class _StartTime:
    """The running time at which all tracks of a session start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start = -1

    def wait(self, source: Any, over: Any) -> int:
        """Return it, once the pipeline has a clock."""
        with self._lock:
            if self._start < 0:
                self._start = _running_time(source, over)
            return self._start


def _running_time(source: Any, over: Any) -> int:
    """Return the pipeline's running time in ns, waiting for its clock; 0 when the session ends."""
    while not over.is_set():
        clock = source.get_clock()
        if clock is not None and source.get_base_time():
            return int(clock.get_time() - source.get_base_time())
        over.wait(0.01)
    return 0


def _factory(camera: dict[str, Any]) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    if "launch" in camera:
        factory.set_launch(camera["launch"])
    else:
        clip = ClipMedia(camera)
        factory.set_launch(clip.description())
        factory.connect("media-configure", clip.configure)
    factory.set_shared(True)
    return factory


def _listen(host: str, port: int) -> Any:
    server = GstRtspServer.RTSPServer()
    server.set_address(host)
    server.set_service(str(port))
    return server


def _attach(server: Any) -> None:
    if not server.attach(None):
        sys.exit(f"cannot listen on port {server.get_service()}")

    def reap() -> bool:
        server.get_session_pool().cleanup()
        return True

    GLib.timeout_add_seconds(5, reap)


def _require_login(auth: Any, factory: Any, camera: dict[str, Any]) -> None:
    """Require the camera's user and password."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", camera["name"])
    auth.add_digest(camera["user"], camera.get("password", ""), token)
    permissions = GstRtspServer.RTSPPermissions()
    for kind in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(camera["name"], kind, True)
    factory.set_permissions(permissions)


def _serve(config: dict[str, Any]) -> None:
    # A server asks all its clients for a password or none: so there are two.
    plain = _listen(config["host"], config["port"])
    locked = _listen(config["host"], config["locked_port"])
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)  # as most cameras do
    for camera in config["cameras"]:
        factory = _factory(camera)
        server = plain
        if camera.get("user"):
            server = locked
            _require_login(auth, factory, camera)
        server.get_mount_points().add_factory(f"/{camera['name']}", factory)
    locked.set_auth(auth)
    if any(camera.get("user") for camera in config["cameras"]):
        _attach(locked)
    _attach(plain)
    GLib.MainLoop().run()


if __name__ == "__main__":
    Gst.init(None)
    _ = GstApp  # registers appsrc's and appsink's types
    _serve(json.loads(Path(sys.argv[1]).read_text()))
