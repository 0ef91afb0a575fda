"""A camera's sub stream: looked at instead of the recorded one, in the recorded one's time.

    main ──► recorded ──► offered where the sub stream is not there ─┐
    sub  ──► its own clock ──► main's PTS for the same UTC ──────────┴─► feed

Both streams get their UTC by their least-delayed pictures, so a sub picture's place on the main
run's clock is as good as those two delays are alike. See docs/design/time.md.
"""

import logging
import threading
import time
from collections.abc import Callable

from domain.clock import RunClock
from domain.errors import ConfigError, MediaError
from edge_bridge import metrics
from edge_bridge.capture.run import FrameSink
from edge_bridge.capture.source import Source
from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError
from media.fragmenter import VIDEO_CODECS
from media.packet import AnyPacket
from media.timestamps import HZ, TimesBrokenError, TimestampNormalizer

log = logging.getLogger(__name__)

LOST_S = 5.0
"""A sub stream that sends nothing for so long is given up: the main one is looked at."""
_FIRST_S = 30.0
"""So long it may take until it is used; clocks start with the first fragment."""
SETTLING_TICKS = 2 * HZ
"""Of the sub stream, before its clock is trusted."""
_AHEAD_TICKS = 2 * HZ
"""The sub stream may run ahead of what is recorded by this; more, and main has stalled."""
_APART_TICKS = 10 * HZ
_STEADY_S = 30.0


class SubStream:
    """Chooses, for one camera, which stream is looked at; a feed for its main stream's runs.

    A thread of its own reads the sub stream. No fault of it reaches the recording: `offer`, which
    the recording thread calls, only ever waits for the hand-over of one picture.
    """

    def __init__(
        self,
        camera: str,
        feed: FrameSink,
        opener: Callable[[threading.Event], Source],
        clock_of: Callable[[str], RunClock | None],
        pause_s: Callable[[int, bool], float],
    ) -> None:
        """`clock_of`: a run's clock; `pause_s`: the wait after so many failures in a
        row, and whether the last was a refused password."""
        self._camera, self._feed, self._opener = camera, feed, opener
        self._clock_of, self._pause_s = clock_of, pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._run = ""
        """The main run that goes on."""
        self._main_pts = 0
        self._by_sub = False
        self._sub_synced = self._main_synced = False
        """Whether the stream was offered up to here from one of its keyframes on."""
        self._last_pts = -1
        """The newest picture offered in this run."""
        self._delta = 0
        """From the sub stream's ticks to the main run's; set at keyframes."""
        self._seen_s = time.monotonic()
        self._why = ""
        self._detail = ""
        self._thread = threading.Thread(target=self._main, name=f"sub {camera}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Offer nothing more of the sub stream, and hang up."""
        with self._lock:
            self._use(False)
            self._stop.set()

    def join(self, within_s: float) -> None:
        """Wait for the thread."""
        self._thread.join(within_s)

    @property
    def detail(self) -> str:
        """Why the main stream is looked at, or nothing."""
        return self._detail

    def offer(self, picture: EncodedFrame) -> bool:
        """Take a picture of the main stream; it is passed on where the sub stream is not used."""
        with self._lock:
            if picture.run != self._run:
                self._run, self._last_pts = picture.run, -1
                self._use(False)
                self._seen_s = time.monotonic()
            self._main_pts = pts = picture.pts
            self._given_up()
            if self._by_sub:
                self._main_synced = False
                return False
            if picture.keyframe and not self._main_synced:
                self._main_synced = pts > self._last_pts
            if not self._main_synced:
                return False
            self._last_pts = max(self._last_pts, pts)
            return self._feed.offer(picture)

    def _main(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began_s, refused = time.monotonic(), False
            try:
                self._connection()
            except (MediaError, ConfigError) as error:
                refused = isinstance(error, CameraRefusedError)
                self._failed(str(error))
            except Exception as error:
                log.exception("unforeseen fault", extra={"camera": self._camera})
                self._failed(f"unforeseen fault ({type(error).__name__})")
            failures = 0 if time.monotonic() - began_s >= _STEADY_S else failures + 1
            self._stop.wait(self._pause_s(max(failures - 1, 0), refused))

    def _connection(self) -> None:
        """Read the sub stream until it breaks; raises MediaError, ConfigError."""
        source = self._opener(self._stop)
        try:
            context = source.video.codec_context
            codec = str(context.codec.canonical_name)
            if codec not in VIDEO_CODECS:
                raise CameraError(f"it sends {codec}: set it to H.264 or H.265")
            parameters = CodecParameters(
                codec, bytes(context.extradata or b""), context.width, context.height
            )
            timeline, clock, first_pts = TimestampNormalizer(), RunClock(), None
            for packet, arrived_ms in source.packets():
                if self._stop.is_set():
                    return
                if packet.stream is not source.video:
                    continue
                if first_pts is None and not packet.is_keyframe:
                    continue
                for ready in timeline.picture(packet):
                    pts = ready.pts or 0
                    if not clock.see(pts, arrived_ms):
                        raise TimesBrokenError("its clock and this device's parted by over 5 s")
                    first_pts = pts if first_pts is None else first_pts
                    if ready.is_keyframe and pts - first_pts >= SETTLING_TICKS:
                        clock.advance(pts)
                    if clock.started:
                        self._picture(ready, pts, clock, parameters)
        finally:
            source.close()

    def _picture(
        self, packet: AnyPacket, pts: int, clock: RunClock, parameters: CodecParameters
    ) -> None:
        """Offer a picture of the sub stream in the main run's time, if that is known."""
        with self._lock:
            main = self._clock_of(self._run)
            if self._stop.is_set() or main is None or not main.started:
                return
            if packet.is_keyframe:
                self._delta = clock.ticks_to(main)
            pts += self._delta
            ahead = pts - self._main_pts
            if abs(ahead) > _APART_TICKS and self._by_sub:
                self._use(False)
                raise TimesBrokenError("its time and the main stream's parted")
            if ahead > _AHEAD_TICKS:
                self._use(False)
                return
            if not (self._by_sub or packet.is_keyframe):
                return
            if packet.is_keyframe and not (self._by_sub and self._sub_synced):
                # From here on main waits, so that the next keyframe at the latest is newer.
                self._sub_synced = pts > self._last_pts
            self._use(True)
            self._seen_s = time.monotonic()
            if not self._sub_synced:
                return
            self._last_pts = max(self._last_pts, pts)
            self._tell("")
            at_ms, keyframe = main.utc_ms(pts), packet.is_keyframe
            self._feed.offer(
                EncodedFrame(self._camera, self._run, packet, pts, at_ms, keyframe, parameters)
            )

    def _use(self, by_sub: bool) -> None:
        """Look at the sub stream, or at the main one."""
        if by_sub != self._by_sub:
            self._by_sub = by_sub
            metrics.set_analysed_stream(self._camera, "sub" if by_sub else "main")

    def _failed(self, why: str) -> None:
        with self._lock:
            self._use(False)
            self._why = why
            if not self._stop.is_set():
                self._tell(why)

    def _given_up(self) -> None:
        silent_s = time.monotonic() - self._seen_s
        if silent_s > (LOST_S if self._by_sub else _FIRST_S) and not self._detail:
            self._use(False)
            self._tell(self._why or f"no picture for {silent_s:.0f} s")

    def _tell(self, why: str) -> None:
        """Change the detail; logged once per change."""
        detail = f"the main stream is looked at; the sub stream: {why}" if why else ""
        if detail == self._detail:
            return
        self._detail = detail
        extra = {"camera": self._camera}
        if why:
            log.warning("%s", detail, extra=extra)
        else:
            self._why = ""
            log.info("the sub stream is looked at again", extra=extra)
