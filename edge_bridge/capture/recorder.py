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
from collections.abc import Callable
from typing import Literal

from domain.backoff import CENTRED_JITTER, Backoff
from domain.clock import RunClock
from domain.errors import ConfigError, MediaError, VigilError
from domain.events import CameraStatus
from edge_bridge import metrics
from edge_bridge.capture.reader_choice import open_source
from edge_bridge.capture.run import FrameSink, RecordingContext, RunRecorder
from edge_bridge.capture.source import ClipEndedError, Source
from edge_bridge.capture.sub_stream import SubStream
from edge_bridge.capture.watchdog import Watchdog
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import CameraError, CameraRefusedError
from media.packet import AnyPacket
from media.timestamps import TimesBrokenError

log = logging.getLogger(__name__)

RECONNECT = Backoff(first_s=1.0, longest_s=30.0, jitter=CENTRED_JITTER)
RECONNECT_REFUSED = Backoff(first_s=1.0, longest_s=300.0, factor=4.0, jitter=CENTRED_JITTER)
"""After a rejected user name or password it grows faster: many cameras lock out a client after
half a dozen wrong tries in some minutes. The first tries come soon, for some cameras reject the
right password while they start."""
_MOST_OF_FLAPPING = 3
STOPPED = "edge stopped"
_REMEMBERED_RUNS = 8

State = Literal["recording", "connecting", "failing", "stopped"]


def wait_s(failures: int, chance: float, refused: bool = False) -> float:
    """Return the pause in seconds after so many failures in a row; `chance` is 0..1.

    `refused`: the camera rejected the user name or the password.
    """
    return (RECONNECT_REFUSED if refused else RECONNECT).delay_s(failures, chance)


def failures_after(failures: int, recorded: bool, lasted_s: float) -> int:
    """Return how many failures in a row count after another connection ended.

    One that gave fragments is worth trying again soon, however short it was.
    """
    if not recorded:
        return failures + 1
    return 0 if lasted_s >= RECONNECT.longest_s else min(failures + 1, _MOST_OF_FLAPPING)


class Recorder:
    """Records one camera until `stop`; no fault of it reaches another camera."""

    def __init__(
        self,
        config: CameraConfig,
        recording: RecordingContext,
        no_data_s: float,
        *,
        opener: Callable[
            [CameraConfig, float, threading.Event, Callable[[], int]], Source
        ] = open_source,
    ) -> None:
        self._config = config
        self._recording = recording
        self._no_data_s = no_data_s
        self._opener = opener
        self._watchdog = Watchdog(recording.limits.most_ms / 1_000 + no_data_s)
        self._stop = threading.Event()
        self._why_stopped = STOPPED
        self._thread = threading.Thread(target=self._main, name=f"camera {config.id}", daemon=True)
        self._state: tuple[State, str] = ("connecting", "")
        self._since_ms = recording.now_ms()
        self._runs: OrderedDict[str, RunRecorder] = OrderedDict()
        self._feed: FrameSink | None = None
        self._sub_url: str | None = None
        self._sub: SubStream | None = None
        self._refused = False
        self._source: Source | None = None
        """The connection, while there is one."""
        self.set_frame_sink(recording.frame_sink, config.sub_url)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, why: str = STOPPED) -> None:
        """Ask the thread to end its run with this reason; `join` waits for it."""
        self._why_stopped = why
        self._stop.set()
        if self._sub is not None:
            self._sub.stop()

    def set_frame_sink(self, feed: FrameSink | None, sub_url: str | None) -> None:
        """Offer pictures there from now on, or nowhere: the sub stream's where there is one.

        The recording goes on untouched.
        """
        if (feed, sub_url) == (self._feed, self._sub_url):
            return
        self._feed, self._sub_url = feed, sub_url
        if self._sub is not None:
            self._sub.stop()
            self._sub = None
        metrics.set_analysed_stream(self._recording.camera, None if feed is None else "main")
        if feed is not None and sub_url is not None:
            sub = self._config.model_copy(update={"url": sub_url, "audio": False})
            self._sub = SubStream(
                self._recording.camera,
                feed,
                lambda stop: self._opener(sub, self._no_data_s, stop, self._recording.now_ms),
                self._clock_of,
                lambda failures, refused: wait_s(failures, random.random(), refused),  # noqa: S311
            )
            self._sub.start()
        self._recording.frame_sink = self._sub or feed
        self._update_latency()

    def join(self, within_s: float) -> bool:
        """Wait for the thread; False: it hangs in a camera that says nothing."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def status(self) -> CameraStatus:
        """How the camera fares."""
        state, detail = self._state
        if (age_s := self._watchdog.hangs_s()) is not None:
            state, detail = "failing", f"no fragment for {age_s / 60:.0f} min: its thread hangs"
        sub = self._sub
        if state == "recording" and sub is not None:
            detail = sub.detail
        return CameraStatus(
            camera=self._recording.camera, state=state, since_ms=self._since_ms, detail=detail
        )

    def utc_ms(self, run: str, pts: int) -> int | None:
        """Return the UTC of a picture of one of the newest runs on that run's clock."""
        known = self._runs.get(run)
        return None if known is None else known.utc_ms(pts)

    def _update_latency(self) -> None:
        if (source := self._source) is not None:
            source.low_latency = self._recording.frame_sink is not None

    def _clock_of(self, run: str) -> RunClock | None:
        known = self._runs.get(run)
        return None if known is None else known.clock

    def _main(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                recorded = self._connection()
            except Exception as error:
                # Whatever it is, it is this camera's alone; it must not end the recording for good.
                log.exception("unforeseen fault", extra={"camera": self._recording.camera})
                self._say("failing", f"unforeseen fault ({type(error).__name__})")
                recorded = False
            if self._stop.is_set() or self._state[0] == "stopped":
                break
            failures = failures_after(failures, recorded, time.monotonic() - began_s)
            chance = random.random()  # noqa: S311
            self._stop.wait(wait_s(max(failures - 1, 0), chance, self._refused))
        metrics.RECORDING.labels(self._recording.camera).set(0)
        if self._state[0] != "stopped":
            self._say("stopped", "")

    def _connection(self) -> bool:
        """Record one connection; return whether it gave any fragment."""
        self._watchdog.fed()
        try:
            return self._watched_connection()
        finally:
            self._watchdog.rest()

    def _watched_connection(self) -> bool:
        try:
            source = self._opener(self._config, self._no_data_s, self._stop, self._recording.now_ms)
        except (CameraError, ConfigError) as error:
            self._refused = isinstance(error, CameraRefusedError)
            self._say("failing", str(error))
            return False
        recorded = self._refused = False
        self._source = source
        self._update_latency()
        try:
            self._watchdog.fed()
            packets = _PacketReader(source, self._no_data_s)
            while True:
                run, reason, again = self._record(source, packets)
                recorded = recorded or run
                self._ended(reason)
                if not again:
                    return recorded
        finally:
            self._source = None
            source.close()

    def _record(
        self, source: Source, packets: "_PacketReader"
    ) -> tuple[bool, VigilError | None, bool]:
        """Record one run; return: any fragment, why it ended (None: stopped), go on as it is."""
        try:
            run = RunRecorder(self._recording, source)
        except MediaError as error:
            return False, error, False
        self._runs[run.id] = run
        while len(self._runs) > _REMEMBERED_RUNS:
            self._runs.popitem(last=False)
        reason: VigilError | None = None
        try:
            for packet, arrived_ms in packets:
                if self._stop.is_set():
                    break
                before = run.fragments
                run.push(packet, arrived_ms)
                if run.fragments > before:
                    self._watchdog.fed()
                    self._say("recording", "")
                elif (age_s := self._watchdog.overdue_s()) is not None:
                    raise CameraError(
                        f"pictures come, but no whole fragment for {age_s:.0f} s: connecting anew"
                    )
        except MediaError as error:
            reason = error
            if isinstance(error, TimesBrokenError):
                packets.put_back()  # it may be the keyframe that the next run begins with
        try:
            run.end(self._why_stopped if reason is None else str(reason))
        except MediaError as error:
            log.warning("%s", error, extra={"camera": self._recording.camera, "run": run.id})
        return run.fragments > 0, reason, isinstance(reason, TimesBrokenError)

    def _ended(self, reason: VigilError | None) -> None:
        if isinstance(reason, ClipEndedError):
            self._say("stopped", str(reason))
        elif reason is not None:
            self._say("failing", str(reason))

    def _say(self, state: State, detail: str) -> None:
        """Change the state; logged once per change."""
        if (state, detail) == self._state:
            return
        self._state = (state, detail)
        self._since_ms = self._recording.now_ms()
        metrics.RECORDING.labels(self._recording.camera).set(int(state == "recording"))
        extra = {"camera": self._recording.camera}
        if state == "failing":
            log.error("%s; trying again", detail, extra=extra)
        else:
            log.info("%s", detail or state, extra=extra)


class _PacketReader:
    """A source's packets; sound alone does not count as life."""

    def __init__(self, source: Source, no_data_s: float) -> None:
        self._packets = source.packets()
        self._video = source.video
        self._no_data_s = no_data_s
        self._picture_s = time.monotonic()
        self._last: tuple[AnyPacket, int] | None = None
        self._times: tuple[int | None, int | None] = (None, None)
        self._back = False

    def __iter__(self) -> "_PacketReader":
        return self

    def __next__(self) -> tuple[AnyPacket, int]:
        if self._back and self._last is not None:
            again, self._last, self._back = self._last, None, False
            return again
        self._last = packet, arrived_ms = next(self._packets)
        now_s = time.monotonic()
        if packet.stream is self._video:
            self._picture_s = now_s
            self._times = packet.pts, packet.dts
        elif now_s - self._picture_s > self._no_data_s:
            raise CameraError(f"no pictures for {self._no_data_s:g} s, only sound")
        return packet, arrived_ms

    def put_back(self) -> None:
        """Give the last packet once more, and once only, with the times that the camera gave it."""
        if self._last is None or self._last[0].stream is not self._video:
            return
        packet, _ = self._last
        packet.pts, packet.dts = self._times
        if self._video.time_base is not None:
            packet.time_base = self._video.time_base
        self._back = True
