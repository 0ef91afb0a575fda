"""One camera's thread: connect, record, say why it ended, try again with jittered back-off.

connecting ──► recording ──► (run ends: reason) ──┐
    ▲   └────► failing ──────────────────────────┤
    └────────────────── back-off ◄───────────────┘
"""

import logging
import random
import threading
import time
from collections import OrderedDict
from typing import Literal

from av.video.stream import VideoStream

from domain.backoff import CENTRED_JITTER, Backoff
from domain.clock import RunClock
from domain.errors import ConfigError, MediaError, VigilError
from domain.events import CameraStatus
from edge_bridge import metrics
from edge_bridge.capture.batch import BatchReader
from edge_bridge.capture.gop_cache import GopCache
from edge_bridge.capture.live_sink import LiveSink
from edge_bridge.capture.run import FrameSink, RecordingContext, RunRecorder
from edge_bridge.capture.source import (
    WAITS_FOR_KEYFRAME,
    ClipEndedError,
    ReaderChangedError,
    Source,
    SourceOpener,
)
from edge_bridge.capture.sub_stream import SubStream
from edge_bridge.capture.watchdog import Watchdog
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError
from media.stamp_correction import StampCorrector
from media.timestamps import DiscontinuityError, ParametersChangedError

log = logging.getLogger(__name__)

RECONNECT = Backoff(first_s=1.0, longest_s=30.0, jitter=CENTRED_JITTER)
RECONNECT_REFUSED = Backoff(first_s=1.0, longest_s=300.0, factor=4.0, jitter=CENTRED_JITTER)
"""After a rejected user name or password it grows faster: many cameras lock out a client after
half a dozen wrong tries in some minutes. The first tries come soon: some cameras reject the right
password while they start."""
_MAX_FLAPPING_FAILURES = 3
STOPPED = "edge stopped"
_MAX_RUNS = 8
_YOUNG_GOP_S = 1.0
"""After the main stream the sub stream is shown from a keyframe that is not older than this."""

State = Literal["recording", "connecting", "failing", "stopped"]


def wait_s(failures: int, chance: float, refused: bool = False) -> float:
    """Return the pause in seconds after so many failures in a row; `chance` is 0..1.

    `refused`: the camera rejected the user name or the password.
    """
    return (RECONNECT_REFUSED if refused else RECONNECT).delay_s(failures, chance)


def failures_after(failures: int, recorded: bool, lasted_s: float) -> int:
    """Return how many failures in a row count after another connection ended.

    After a connection that gave fragments the next try comes soon, however short it was.
    """
    if not recorded:
        return failures + 1
    return 0 if lasted_s >= RECONNECT.longest_s else min(failures + 1, _MAX_FLAPPING_FAILURES)


class Recorder:
    """Records one camera until `stop`. Its faults never affect another camera."""

    def __init__(
        self,
        config: CameraConfig,
        recording: RecordingContext,
        no_data_s: float,
        *,
        opener: SourceOpener,
    ) -> None:
        """`no_data_s`: seconds without data until the connection counts as lost."""
        self._config = config
        self._recording = recording
        self._no_data_s = no_data_s
        self._opener = opener
        self._watchdog = Watchdog(recording.limits.max_ms / 1_000 + no_data_s)
        self._stop = threading.Event()
        self._stop_reason = STOPPED
        self._thread = threading.Thread(target=self._main, name=f"camera {config.id}", daemon=True)
        self._state: tuple[State, str] = ("connecting", "")
        self._since_ms = recording.now_ms()
        self._runs: OrderedDict[str, RunRecorder] = OrderedDict()
        self._frame_sink: FrameSink | None = None
        self._sub_url: str | None = None
        self._sub: SubStream | None = None
        self._shows_main_as_sub = False
        """Whether the sub stream fails, and the main stream is shown live in its place."""
        self._sub_gop = GopCache(recording.gop.max_bytes)
        self._live_main: tuple[LiveSink, ...] = ()
        self._live_sub: tuple[LiveSink, ...] = ()
        self._refused = False
        self._reopen = False
        """Whether to open the camera again at once, with the other reader."""
        self._source: Source | None = None
        """The connection, while there is one."""
        self.set_frame_sink(recording.frame_sink, config.sub_url)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, reason: str = STOPPED) -> None:
        """Ask the thread to end its run with this reason; `join` waits for it."""
        self._stop_reason = reason
        self._stop.set()
        if self._sub is not None:
            self._sub.stop()

    def set_frame_sink(self, frame_sink: FrameSink | None, sub_url: str | None) -> None:
        """Offer the frames to `frame_sink` from now on, or to nothing.

        They are the sub stream's if `sub_url` is given. The recording is not interrupted.
        """
        if (frame_sink, sub_url) == (self._frame_sink, self._sub_url):
            return
        self._frame_sink = frame_sink
        self._sub_url = sub_url
        self._stop_sub()
        metrics.set_analysed_stream(self._recording.camera, None if frame_sink is None else "main")
        self._arrange_sinks()

    def set_live_sinks(self, main: tuple[LiveSink, ...], sub: tuple[LiveSink, ...]) -> None:
        """Offer the frames of both feeds to these sinks from now on: somebody watches them.

        A camera without a sub stream shows the recorded stream as `sub`, too.
        """
        self._live_main = main
        self._live_sub = sub
        if self._frame_sink is None and not sub:
            self._stop_sub()
        self._arrange_sinks()

    def check_sub(self) -> str:
        """Show the main stream as `sub` while the sub stream fails; return why it is, or nothing.

        The sub stream returns just after one of its keyframes, so the picture does not go back.
        """
        sub = self._sub
        problem = sub.live_problem if sub is not None and self._live_sub else ""
        shows_main = bool(problem)
        if self._shows_main_as_sub and not problem and self._live_sub:
            age_s = self._sub_gop.age_s
            shows_main = age_s is None or age_s > _YOUNG_GOP_S
        if shows_main != self._shows_main_as_sub:
            self._shows_main_as_sub = shows_main
            self._arrange_sinks()
            extra = {"camera": self._recording.camera}
            if shows_main:
                log.warning(
                    "live: the main stream is shown; the sub stream: %s", problem, extra=extra
                )
            else:
                log.info("live: the sub stream is shown again", extra=extra)
        return problem

    def _stop_sub(self) -> None:
        if self._sub is not None:
            self._sub.stop()
            self._sub = None

    def _arrange_sinks(self) -> None:
        """Read the sub stream where it is wanted, and say who gets which frames."""
        frame_sink, sub_url = self._frame_sink, self._sub_url
        is_wanted = frame_sink is not None or bool(self._live_sub)
        if self._sub is None and sub_url is not None and is_wanted and not self._stop.is_set():
            sub = self._config.model_copy(update={"url": sub_url, "audio": False})
            self._sub = SubStream(
                self._recording.camera,
                frame_sink,
                lambda stop: self._opener(
                    sub, self._no_data_s, stop, self._recording.now_ms, lambda _: None
                ),
                self._clock_of,
                lambda failures, refused: wait_s(failures, random.random(), refused),  # noqa: S311
                gop=self._sub_gop,
            )
            self._sub.start()
        self._recording.frame_sink = frame_sink and (self._sub or frame_sink)
        gop = self._recording.gop
        if sub_url is None or self._shows_main_as_sub:
            self._sub_gop.set_sinks(())
            gop.set_sinks(self._live_main + self._live_sub)
        else:
            gop.set_sinks(self._live_main)
            self._sub_gop.set_sinks(self._live_sub)
        self._update_latency()

    def join(self, within_s: float) -> bool:
        """Wait for the thread; return False if it still waits for a camera that sends nothing."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def status(self) -> CameraStatus:
        """The camera's state, since when, and why."""
        state, detail = self._state
        if (age_s := self._watchdog.hung_s()) is not None:
            state = "failing"
            detail = (
                f"no fragment for {age_s / 60:.0f} min: its thread hangs; "
                "restart the camera, then the edge"
            )
        sub = self._sub
        if state == "recording" and sub is not None and self._frame_sink is not None:
            detail = sub.detail or detail
        return CameraStatus(
            camera=self._recording.camera, state=state, since_ms=self._since_ms, detail=detail
        )

    def utc_ms(self, run: str, pts: int) -> int | None:
        """Return the UTC of a frame by its run's clock; None if that is not one of the newest."""
        known = self._runs.get(run)
        return None if known is None else known.utc_ms(pts)

    def _update_latency(self) -> None:
        if (source := self._source) is not None:
            recording = self._recording
            source.low_latency = recording.frame_sink is not None or recording.gop.is_watched

    def _clock_of(self, run: str) -> RunClock | None:
        known = self._runs.get(run)
        return None if known is None else known.clock

    def _main(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                recorded = self._record_connection()
            except Exception as error:
                # An unexpected error must never end the camera's thread: it tries again.
                log.exception("unexpected error", extra={"camera": self._recording.camera})
                self._set_state("failing", f"unexpected error ({type(error).__name__})")
                recorded = self._reopen = False
            if self._stop.is_set() or self._state[0] == "stopped":
                break
            if self._reopen:
                continue
            failures = failures_after(failures, recorded, time.monotonic() - began_s)
            chance = random.random()  # noqa: S311
            self._stop.wait(wait_s(max(failures - 1, 0), chance, self._refused))
        metrics.RECORDING.labels(self._recording.camera).set(0)
        if self._state[0] != "stopped":
            self._set_state("stopped", "")

    def _record_connection(self) -> bool:
        """Record one connection; return whether it gave any fragment."""
        self._watchdog.fed()
        try:
            return self._record_watched()
        finally:
            self._watchdog.disarm()

    def _record_watched(self) -> bool:
        try:
            source = self._opener(
                self._config,
                self._no_data_s,
                self._stop,
                self._recording.now_ms,
                self._wait_for_keyframe,
            )
        except (CameraError, ConfigError) as error:
            self._reopen = False
            self._refused = isinstance(error, CameraRefusedError)
            self._set_state("failing", str(error))
            return False
        recorded = self._refused = self._reopen = False
        self._source = source
        self._update_latency()
        try:
            self._watchdog.fed()
            batches = BatchReader(source, self._no_data_s)
            corrector = StampCorrector()
            video = source.video
            while True:
                run, reason = self._record_run(source, video, batches, corrector)
                recorded = recorded or (run is not None and run.fragments > 0)
                if not isinstance(reason, DiscontinuityError):
                    self._reopen = isinstance(reason, ReaderChangedError)
                    if not self._reopen:
                        self._set_ended(reason)
                    return recorded
                if isinstance(reason, ParametersChangedError):
                    video = reason.video  # found before the frame's stamps were corrected
                else:
                    corrector.repeat()
                log.info(
                    "%s: a new run begins with this keyframe",
                    reason,
                    extra={"camera": self._recording.camera},
                )
                # The frame that ended the run is the keyframe at which the next one begins.
                batches.put_back()
        finally:
            self._source = None
            source.close()

    def _record_run(
        self,
        source: Source,
        video: VideoStream,
        batches: BatchReader,
        corrector: StampCorrector,
    ) -> tuple[RunRecorder | None, VigilError | None]:
        """Record one run. Return it, and why it ended (None: stopped).

        After a DiscontinuityError the next run uses the same connection.
        """
        try:
            run = RunRecorder(self._recording, source, video, corrector)
        except MediaError as error:
            return None, error
        self._runs[run.id] = run
        while len(self._runs) > _MAX_RUNS:
            self._runs.popitem(last=False)
        reason: VigilError | None = None
        try:
            for batch in batches:
                if self._stop.is_set():
                    break
                before = run.fragments
                run.push(batch)
                if run.fragments > before:
                    self._watchdog.fed()
                    self._set_state("recording", run.note)
                elif run.waits_for_keyframe:
                    self._wait_for_keyframe(WAITS_FOR_KEYFRAME)
                elif self._state == ("connecting", WAITS_FOR_KEYFRAME):
                    self._set_state("recording", "")  # its first fragment may take minutes
                elif (age_s := self._watchdog.overdue_s()) is not None:
                    raise CameraError(
                        f"video comes, but no complete fragment for {age_s:.0f} s: connecting again"
                    )
        except MediaError as error:
            reason = error
        try:
            run.end(self._stop_reason if reason is None else str(reason))
        except MediaError as error:
            log.warning("%s", error, extra={"camera": self._recording.camera, "run": run.id})
        return run, reason

    def _wait_for_keyframe(self, detail: str) -> None:
        """Wait without a limit of time here: the camera sends frames, and a keyframe will come."""
        self._watchdog.fed()
        self._set_state("connecting", detail)

    def _set_ended(self, reason: VigilError | None) -> None:
        if isinstance(reason, ClipEndedError):
            self._set_state("stopped", str(reason))
        elif reason is not None:
            self._set_state("failing", str(reason))

    def _set_state(self, state: State, detail: str) -> None:
        """Change the state; logged once per change."""
        if (state, detail) == self._state:
            return
        self._state = (state, detail)
        self._since_ms = self._recording.now_ms()
        metrics.RECORDING.labels(self._recording.camera).set(int(state == "recording"))
        extra = {"camera": self._recording.camera}
        if state == "failing":
            log.error("%s; the recorder tries again", detail, extra=extra)
        elif state == "recording" and detail:
            log.warning("recording: %s", detail, extra=extra)
        else:
            log.info("%s", detail or state, extra=extra)
