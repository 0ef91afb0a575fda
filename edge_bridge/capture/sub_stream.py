"""A camera's sub stream: analysed instead of the recorded stream, in the recorded stream's time.

It is shown live, too, with times of its own clock. Then nothing need be analysed.

    main ──► recorded ──► offered if there is no sub stream ─┐
    sub  ──► its own clock ──► main's PTS of the same UTC ───┴─► frame sink

Both streams get their UTC from their least-delayed frames. The difference of
these two delays is the error of a sub frame's time. See docs/design/time.md.
"""

import logging
import threading
import time
from collections.abc import Callable

from domain.clock import RunClock
from domain.errors import ConfigError, MediaError
from edge_bridge import metrics
from edge_bridge.capture.gop_cache import GopCache
from edge_bridge.capture.run import FrameSink
from edge_bridge.capture.source import Source
from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError
from media.fragmenter import VIDEO_CODECS
from media.packet import AnyPacket
from media.timestamps import HZ, DiscontinuityError, TimestampNormalizer

log = logging.getLogger(__name__)

LOST_S = 5.0
"""If the sub stream sends nothing for this long, the main stream is analysed."""
LIVE_LOST_S = 3.0
"""If it sends nothing for this long, the main stream is shown live in its place."""
_FIRST_FRAME_S = 30.0
"""Until its first frame it may take this long: a run's clock starts with its first fragment."""
SETTLING_TICKS = 2 * HZ
"""Time of the sub stream until its clock is trusted."""
_MAX_AHEAD_TICKS = 2 * HZ
"""The sub stream may be ahead of the recording by this. By more, the main stream has stalled."""
_MAX_APART_TICKS = 10 * HZ
_STEADY_S = 30.0
"""After a connection of this length the failures are counted from 0 again."""


class SubStream:
    """Selects, for one camera, the stream that is analysed; the frame sink of its main stream.

    A thread of its own reads the sub stream. Its faults never affect the recording: `offer`, which
    the recording thread calls, waits at most until one frame is handed over.
    """

    def __init__(
        self,
        camera: str,
        frame_sink: FrameSink | None,
        opener: Callable[[threading.Event], Source],
        clock_of: Callable[[str], RunClock | None],
        retry_delay_s: Callable[[int, bool], float],
        *,
        gop: GopCache,
    ) -> None:
        """`frame_sink`: None where nothing is analysed, and the stream is only shown live.

        `gop` gets each frame of the sub stream, for the live view.

        `clock_of` returns a run's clock. `retry_delay_s` returns the delay after a failure.

        It is given the number of earlier failures in a row, and whether a password was rejected.
        """
        self._camera = camera
        self._frame_sink = frame_sink
        self._gop = gop
        self._shown_s = time.monotonic()
        """When the newest frame came that could be shown live."""
        self._is_broken = False
        """Whether the connection failed since."""
        self._opener = opener
        self._clock_of = clock_of
        self._retry_delay_s = retry_delay_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._run = ""
        """The main stream's current run."""
        self._main_pts = 0
        self._uses_sub = False
        self._sub_synced = False
        """Whether the sub stream was offered without a hole since one of its keyframes."""
        self._main_synced = False
        """Whether the main stream was offered without a hole since one of its keyframes."""
        self._last_pts = -1
        """The newest frame offered in this run."""
        self._delta = 0
        """From the sub stream's ticks to the main run's; set at keyframes."""
        self._last_frame_s = time.monotonic()
        self._problem = ""
        self._detail = ""
        self._thread = threading.Thread(target=self._main, name=f"sub {camera}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop offering frames of the sub stream, and close its connection."""
        with self._lock:
            self._use_sub(False)
            self._stop.set()

    def join(self, within_s: float) -> None:
        """Wait for the thread."""
        self._thread.join(within_s)

    @property
    def detail(self) -> str:
        """Why the main stream is analysed, or nothing."""
        return self._detail

    @property
    def live_problem(self) -> str:
        """Why the main stream must be shown live in its place, or nothing."""
        if not self._is_broken and time.monotonic() - self._shown_s <= LIVE_LOST_S:
            return ""
        return self._problem or "it sends no video"

    def offer(self, frame: EncodedFrame) -> bool:
        """Take a frame of the main stream; it is passed on unless the sub stream is used."""
        with self._lock:
            if frame.run != self._run:
                self._run = frame.run
                self._last_pts = -1
                self._use_sub(False)
                self._last_frame_s = time.monotonic()
            self._main_pts = pts = frame.pts
            self._check_lost()
            if self._uses_sub:
                self._main_synced = False
                return False
            if frame.keyframe and not self._main_synced:
                # Start only at a keyframe that is newer than what was offered of the sub stream.
                self._main_synced = pts > self._last_pts
            if not self._main_synced or self._frame_sink is None:
                return False
            self._last_pts = max(self._last_pts, pts)
            return self._frame_sink.offer(frame)

    def _main(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            refused = False
            try:
                self._read_connection()
            except (MediaError, ConfigError) as error:
                refused = isinstance(error, CameraRefusedError)
                self._set_failed(str(error))
            except Exception as error:
                log.exception("unexpected error", extra={"camera": self._camera})
                self._set_failed(f"unexpected error ({type(error).__name__})")
            failures = 0 if time.monotonic() - began_s >= _STEADY_S else failures + 1
            self._stop.wait(self._retry_delay_s(max(failures - 1, 0), refused))

    def _read_connection(self) -> None:
        """Read the sub stream until it breaks; raises MediaError, ConfigError."""
        source = self._opener(self._stop)
        run = f"sub {time.monotonic_ns()}"
        try:
            context = source.video.codec_context
            codec = str(context.codec.canonical_name)
            if codec not in VIDEO_CODECS:
                raise CameraError(f"it sends {codec}: set it to H.264 or H.265")
            parameters = CodecParameters(
                codec, bytes(context.extradata or b""), context.width, context.height
            )
            normalizer = TimestampNormalizer()
            clock = RunClock()
            first_pts = None
            for packet, arrived_ms in source.packets():
                if self._stop.is_set():
                    return
                if packet.stream is not source.video:
                    continue
                if first_pts is None and not packet.is_keyframe:
                    continue
                for ready in normalizer.video(packet, arrived_ms):
                    pts = ready.pts or 0
                    if not clock.observe(pts, arrived_ms):
                        raise DiscontinuityError(
                            "its clock and this device's clock drifted apart by more than 5 s"
                        )
                    first_pts = pts if first_pts is None else first_pts
                    if ready.is_keyframe and pts - first_pts >= SETTLING_TICKS:
                        clock.advance(pts)
                    self._show(ready, run, pts, clock.utc_ms(pts), parameters)
                    if clock.started and self._frame_sink is not None:
                        self._offer_sub(ready, pts, clock, parameters)
        finally:
            self._gop.forget()
            source.close()

    def _show(
        self, packet: AnyPacket, run: str, pts: int, at_ms: int, parameters: CodecParameters
    ) -> None:
        """Show a frame live, in the sub stream's own time."""
        self._shown_s = time.monotonic()
        self._is_broken = False
        keyframe = packet.is_keyframe
        frame = EncodedFrame(self._camera, run, bytes(packet), pts, at_ms, keyframe, parameters)
        self._gop.video(frame, pts if packet.dts is None else packet.dts, None)

    def _offer_sub(
        self, packet: AnyPacket, pts: int, clock: RunClock, parameters: CodecParameters
    ) -> None:
        """Offer a frame of the sub stream in the main run's time, if that is known."""
        with self._lock:
            main = self._clock_of(self._run)
            if self._stop.is_set() or main is None or not main.started:
                return
            if packet.is_keyframe:
                self._delta = clock.ticks_to(main)
            pts += self._delta
            ahead = pts - self._main_pts
            if abs(ahead) > _MAX_APART_TICKS and self._uses_sub:
                self._use_sub(False)
                raise DiscontinuityError("its time and the main stream's drifted apart")
            if ahead > _MAX_AHEAD_TICKS:
                self._use_sub(False)
                return
            if not (self._uses_sub or packet.is_keyframe):
                return
            if packet.is_keyframe and not (self._uses_sub and self._sub_synced):
                # From here on the main stream waits: so the next keyframe at the latest is newer.
                self._sub_synced = pts > self._last_pts
            self._use_sub(True)
            self._last_frame_s = time.monotonic()
            if not self._sub_synced:
                return
            self._last_pts = max(self._last_pts, pts)
            self._set_detail("")
            at_ms = main.utc_ms(pts)
            keyframe = packet.is_keyframe
            if self._frame_sink is None:
                return
            self._frame_sink.offer(
                EncodedFrame(self._camera, self._run, packet, pts, at_ms, keyframe, parameters)
            )

    def _use_sub(self, uses_sub: bool) -> None:
        """Analyse the sub stream, or the main stream."""
        if uses_sub != self._uses_sub:
            self._uses_sub = uses_sub
            metrics.set_analysed_stream(self._camera, "sub" if uses_sub else "main")

    def _set_failed(self, problem: str) -> None:
        with self._lock:
            self._use_sub(False)
            self._problem = problem
            self._is_broken = True
            if not self._stop.is_set():
                self._set_detail(problem)

    def _check_lost(self) -> None:
        silent_s = time.monotonic() - self._last_frame_s
        if silent_s > (LOST_S if self._uses_sub else _FIRST_FRAME_S) and not self._detail:
            self._use_sub(False)
            self._set_detail(self._problem or f"no video for {silent_s:.0f} s")

    def _set_detail(self, problem: str) -> None:
        """Change the detail; logged once per change."""
        used = "analysed" if self._frame_sink is not None else "recorded"
        detail = f"the main stream is {used}; the sub stream: {problem}" if problem else ""
        if detail == self._detail:
            return
        self._detail = detail
        extra = {"camera": self._camera}
        if problem:
            log.warning("%s", detail, extra=extra)
        else:
            self._problem = ""
            log.info(
                "the sub stream is %s again",
                "analysed" if self._frame_sink else "shown",
                extra=extra,
            )
