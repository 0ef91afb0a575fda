/** Plays one camera: live or from any recorded time, across gaps and time windows. */
import { playlistUrl } from "../api/client";
import { serverNow } from "../clock";
import { LiveSession, playsLive } from "../live/live-session";
import type { LiveDetections } from "../live/messages";
import { createStore } from "../store";
import { jumped } from "../timeline/coverage";
import { findFootage, gapReason } from "./footage";
import { watchFrames } from "./frames";
import { type Failure, type HlsClass, HlsSession } from "./hls-session";
import { mediaOf, type Start, wallEnd, wallOf } from "./mediaclock";
import { Poster } from "./poster";
import { Restarts } from "./restarts";
import { isInLiveWindow, liveWindow, nextRate, type PlayWindow, windowAround } from "./window";

export type Status = "loading" | "playing" | "paused" | "waiting" | "empty" | "error";

/** Where a live picture comes from: the device itself, or the list of recorded footage. */
export type LiveWay = "device" | "list";

export interface PlayerState {
  readonly live: boolean;
  /** null: not live. */
  readonly way: LiveWay | null;
  /** Why the live picture does not come from the device; empty where it does. */
  readonly wayReason: string;
  readonly status: Status;
  /** What happened and what to do, when the status is `empty` or `error`. */
  readonly message: string | null;
  readonly rate: number;
  readonly hasAudio: boolean;
  readonly muted: boolean;
}

/** A gap that was just crossed. */
export interface Crossing {
  readonly fromMs: number;
  readonly toMs: number;
  readonly reason: string;
}

const NEAR_EDGE_MS = 25_000;
const RETRY_MS = 3000;
const PLAYHEAD_EVERY_MS = 80;
/** Playback that waits for so long just before a border goes on behind it. */
const BORDER_WAIT_MS = 3000;
/** Without a picture of the device for so long, the list of footage plays. */
const FIRST_PICTURE_MS = 4000;
/** After a picture was lost: another process of the server takes over within this time. */
const NEXT_PICTURE_MS = 6000;
const NO_LINK = "The device sends no live picture now.";
/** A position this much before a segment belongs to the one before it. */
const MARGIN_S = 0.01;

export class Player {
  readonly state = createStore<PlayerState>({
    live: false,
    way: null,
    wayReason: "",
    status: "loading",
    message: null,
    rate: 1,
    hasAudio: false,
    muted: true,
  });
  /** Wall time of the frame on the screen. */
  readonly playhead = createStore<number | null>(null);
  readonly crossing = createStore<Crossing | null>(null);
  onFrame: (wallMs: number) => void = () => {};
  onDetections: (detections: LiveDetections) => void = () => {};

  private session: HlsSession | LiveSession | null = null;
  /** The device's picture while live, also while it does not come. */
  private liveSession: LiveSession | null = null;
  /** Whether this browser cannot play the device's picture. */
  private noDevice = !playsLive();
  private liveTimer = 0;
  private lostReason = "";
  private readonly poster: Poster;
  private window: PlayWindow | null = null;
  private wantPlay = true;
  private requestId = 0;
  private lastFrame: { wallMs: number; mediaS: number } | null = null;
  /** Media time of the last frame that the browser showed, also of an unwanted one. */
  private shownS: number | null = null;
  private frameS = 0.04;
  private playheadSetAt = 0;
  private retryTimer = 0;
  private crossingTimer = 0;
  private borderTimer = 0;
  private pendingSeekMs: number | null = null;
  private readonly restarts = new Restarts();
  private readonly controller = new AbortController();

  constructor(
    private readonly HlsJs: HlsClass,
    private readonly video: HTMLVideoElement,
    /** Covers the video with a still image while the video is not ready. */
    poster: HTMLCanvasElement,
    private readonly cameraId: string,
  ) {
    this.poster = new Poster(poster, video, cameraId);
    const on = (name: string, listener: () => void): void =>
      video.addEventListener(name, listener, { signal: this.controller.signal });
    on("playing", () => {
      clearTimeout(this.borderTimer);
      this.patch({ status: "playing", message: null });
    });
    on("pause", () => {
      if (!video.ended && !video.seeking) this.patch({ status: "paused" });
    });
    on("waiting", () => this.onWaiting());
    on("ended", () => this.onEnded());
    on("seeking", () => {
      this.lastFrame = null;
    });
    on("seeked", () => this.onSeeked());
    video.muted = true;
    watchFrames(video, (mediaS) => this.frame(mediaS), this.controller.signal);
  }

  destroy(): void {
    this.requestId++;
    this.controller.abort();
    clearTimeout(this.retryTimer);
    clearTimeout(this.crossingTimer);
    clearTimeout(this.borderTimer);
    this.leaveDevice();
    this.session?.destroy();
    this.session = null;
  }

  /** Plays the device's picture; where it does not come, the newest footage. */
  goLive(): void {
    this.restarts.reset();
    this.startLive();
  }

  private startLive(): void {
    this.wantPlay = true;
    this.setRate(1);
    this.showCrossing(null);
    this.pendingSeekMs = null;
    if (this.session !== null && this.session === this.liveSession && !this.liveSession.parked) {
      this.liveSession.follow();
      this.resume();
      return;
    }
    this.poster.freeze();
    if (this.noDevice) this.load(liveWindow(serverNow()), null);
    else this.askDevice();
    this.showThumbnail(null, this.requestId);
  }

  /** Opens the device's picture; until it comes, a still picture is shown. */
  private askDevice(): void {
    this.leaveDevice();
    this.closeSession();
    this.window = liveWindow(serverNow());
    this.patch({ live: true, way: "device", wayReason: "", status: "loading", message: null });
    this.waitForDevice(FIRST_PICTURE_MS);
    this.openDevice();
  }

  private openDevice(): void {
    const session = new LiveSession(this.cameraId, "main", {
      onPicture: (hasAudio) => this.onDevicePicture(session, hasAudio),
      onLost: (reason, isFinal) => this.onDeviceLost(session, reason, isFinal),
      onNote: () => {},
      onDetections: (detections) => this.onDetections(detections),
    });
    this.liveSession = session;
  }

  private onDevicePicture(session: LiveSession, hasAudio: boolean): void {
    if (session !== this.liveSession || session.isAttached) return;
    // The list plays, and the person wants to see something there.
    if (!this.wantPlay || this.state.get().rate !== 1) return;
    this.endWait();
    this.poster.freeze();
    this.closeSession();
    this.session = session;
    session.attach(this.video);
    this.patch({ live: true, way: "device", wayReason: "", hasAudio, message: null });
    this.resume();
  }

  private onDeviceLost(session: LiveSession, reason: string, isFinal: boolean): void {
    if (session !== this.liveSession) return;
    if (isFinal) {
      this.noDevice = true;
      this.fallBack(reason);
    } else if (this.session === session) {
      // The time runs from the first loss on: later tries may fail faster than it.
      if (reason) this.lostReason = reason;
      if (session.follows && !this.liveTimer) this.waitForDevice(NEXT_PICTURE_MS);
    } else if (this.state.get().way === "device") this.fallBack(reason);
    else if (reason) this.patch({ wayReason: reason });
  }

  private waitForDevice(withinMs: number): void {
    this.endWait();
    this.liveTimer = window.setTimeout(() => this.fallBack(this.lostReason), withinMs);
  }

  private endWait(): void {
    clearTimeout(this.liveTimer);
    this.liveTimer = 0;
  }

  /** Plays the list. A session with the device waits for its next picture. */
  private fallBack(reason: string): void {
    this.endWait();
    this.poster.freeze();
    if (this.noDevice || this.session === this.liveSession) this.leaveDevice();
    this.load(liveWindow(serverNow()), null, true);
    this.patch({ wayReason: reason || NO_LINK });
    if (!this.noDevice && !this.liveSession) this.openDevice();
  }

  /** A person wants to see this moment: nothing pulls him back to the newest picture. */
  private leaveEdge(): void {
    if (this.session === this.liveSession && this.liveSession) this.liveSession.follows = false;
    else this.leaveDevice();
  }

  private leaveDevice(): void {
    this.endWait();
    this.lostReason = "";
    const session = this.liveSession;
    this.liveSession = null;
    if (session === null) return;
    if (this.session === session) this.session = null;
    session.destroy();
  }

  private closeSession(): void {
    this.requestId++;
    clearTimeout(this.retryTimer);
    clearTimeout(this.borderTimer);
    this.session?.destroy();
    this.session = null;
    this.lastFrame = null;
  }

  /** Shows the frame of `targetMs` at once and plays from there, or from the next footage. */
  async seek(targetMs: number): Promise<void> {
    this.restarts.reset();
    await this.start(targetMs);
  }

  private async start(targetMs: number): Promise<void> {
    const requestId = ++this.requestId;
    clearTimeout(this.retryTimer);
    this.showCrossing(null);
    this.pendingSeekMs = targetMs;
    this.lastFrame = null;
    this.playhead.set(targetMs);
    const media = mediaOf(this.segments(), targetMs);
    this.leaveEdge();
    if (media !== null && (!this.session?.border || this.isBuffered(media))) {
      if (!this.isBuffered(media)) this.showThumbnail(targetMs, requestId);
      this.video.currentTime = media;
      this.resume();
      return;
    }
    this.showThumbnail(targetMs, requestId);
    this.patch({ status: "loading", message: null });
    try {
      const found = await findFootage(this.cameraId, targetMs, serverNow());
      if (requestId !== this.requestId) return;
      if (found === null) {
        this.startLive();
        return;
      }
      if (found.skipped) {
        const { from_ms, to_ms, reason } = found.skipped;
        this.showCrossing({ fromMs: from_ms, toMs: to_ms, reason });
        this.playhead.set(found.atMs);
        this.showThumbnail(found.atMs, requestId);
      }
      this.pendingSeekMs = found.atMs;
      this.load(windowAround(found.atMs, this.state.get().rate), { wallMs: found.atMs });
    } catch (error) {
      if (requestId !== this.requestId) return;
      this.fail(error instanceof Error ? error.message : String(error), () => this.start(targetMs));
    }
  }

  nudge(byMs: number): void {
    const at = this.playhead.get();
    if (at !== null) void this.seek(Math.min(at + byMs, serverNow()));
  }

  /** One frame forward or back; playback stops. */
  step(direction: 1 | -1): void {
    this.pause();
    const from = this.lastFrame?.mediaS ?? this.video.currentTime;
    this.video.currentTime = Math.max(0, from + direction * this.frameS + this.frameS * 0.1);
  }

  toggle(): void {
    if (this.wantPlay && this.session) this.pause();
    else this.play();
  }

  pause(): void {
    this.wantPlay = false;
    this.leaveEdge();
    this.video.pause();
    this.patch({ status: "paused" });
  }

  play(): void {
    this.wantPlay = true;
    const at = this.playhead.get();
    const first = this.segments()[0];
    if (!this.session || (this.session instanceof LiveSession && this.session.parked)) {
      // It stopped after an error, or after a long pause.
      if ((this.state.get().live && !this.session) || at === null) this.goLive();
      else void this.seek(at);
      return;
    }
    // After a long pause, a live playlist no longer contains this time.
    if (at !== null && first && at < first.wallStartMs - 1000) void this.seek(at);
    else this.resume();
  }

  setRate(rate: number): void {
    this.video.defaultPlaybackRate = rate;
    this.video.playbackRate = rate;
    if (rate !== 1) this.leaveEdge();
    this.session?.prepareFor(rate);
    this.patch({ rate });
  }

  changeRate(step: 1 | -1): void {
    this.setRate(nextRate(this.state.get().rate, step));
  }

  setMuted(muted: boolean): void {
    this.video.muted = muted;
    this.patch({ muted });
  }

  private patch(change: Partial<PlayerState>): void {
    this.state.set({ ...this.state.get(), ...change });
  }

  private segments() {
    return this.session?.segments ?? [];
  }

  private load(window: PlayWindow, start: Start | null, keepsDevice = false): void {
    if (!keepsDevice) this.leaveDevice();
    this.closeSession();
    this.window = window;
    const live = window.toMs === null;
    const way = live ? "list" : null;
    this.patch({ live, way, wayReason: "", status: "loading", message: null });
    const address = playlistUrl(this.cameraId, window.fromMs, window.toMs);
    const { rate } = this.state.get();
    this.session = new HlsSession(this.HlsJs, this.video, address, start, rate, {
      onEmpty: () => this.onEmpty(),
      onFailure: (failure, atMs) => this.onFailure(failure, atMs),
      onCut: () => this.onCut(),
      onAudio: (hasAudio) => this.patch({ hasAudio }),
    });
    this.setRate(rate);
    this.resume();
  }

  private resume(): void {
    if (!this.wantPlay) return;
    this.video.play().catch((error: unknown) => {
      // A newer load also interrupts play(). Stop only where the browser forbids playback.
      if (error instanceof DOMException && error.name === "NotAllowedError") this.pause();
    });
  }

  private onWaiting(): void {
    if (this.state.get().status === "playing") this.patch({ status: "waiting" });
    const at = this.playhead.get();
    if (at !== null && serverNow() - at < NEAR_EDGE_MS && this.state.get().rate > 1) {
      this.setRate(1);
    }
    clearTimeout(this.borderTimer);
    if (this.session?.border) {
      this.borderTimer = window.setTimeout(() => this.onEnded(), BORDER_WAIT_MS);
    }
  }

  private onEnded(): void {
    const border = this.session?.border;
    if (!border) {
      void this.playNextWindow();
      return;
    }
    const before = wallOf(this.segments(), border.mediaStartS - MARGIN_S);
    this.cross({ wallMs: border.wallStartMs, key: border.key });
    const now = { wallMs: border.wallStartMs, mediaS: MARGIN_S };
    const jump = before === null ? null : jumped({ wallMs: before, mediaS: 0 }, now);
    if (jump) void this.reportJump(jump.fromMs, jump.toMs);
  }

  /** Goes on at a segment with other tracks, in a new session. */
  private cross(start: Start): void {
    const { wallMs } = start;
    this.poster.freeze();
    if (!this.restarts.allow(wallMs)) {
      this.giveUp();
      return;
    }
    const now = serverNow();
    const isLive = this.window?.toMs === null;
    if (!this.window || (isLive && !isInLiveWindow(wallMs, now))) {
      void this.start(wallMs);
      return;
    }
    this.pendingSeekMs = wallMs;
    this.load(isLive ? liveWindow(now) : this.window, start);
  }

  /** Goes on at the position, which is behind a border, or at the border. */
  private onCut(): void {
    const border = this.session?.border;
    if (!border) return;
    const isBehind = this.video.currentTime >= border.mediaStartS;
    const at = this.pendingSeekMs ?? wallOf(this.segments(), this.video.currentTime);
    if (isBehind && at !== null) this.cross({ wallMs: at });
    else this.cross({ wallMs: border.wallStartMs, key: border.key });
  }

  private onFailure(failure: Failure, atMs: number | null): void {
    const at = this.playhead.get();
    if (failure === "media" && !this.restarts.allow(atMs ?? at)) {
      this.giveUp();
      return;
    }
    const again = (): void => {
      if (this.window?.toMs === null || at === null) this.startLive();
      else void this.start(at);
    };
    this.fail(
      failure === "network"
        ? "Footage cannot be loaded. Trying again."
        : "This browser cannot play the footage. Trying again.",
      again,
    );
  }

  private giveUp(): void {
    this.stop(
      "This browser cannot play the footage. Choose another time, or press play to try again.",
    );
  }

  private stop(message: string): void {
    this.patch({ status: "error", message });
    this.closeSession();
  }

  private fail(message: string, again: () => void): void {
    this.stop(message);
    this.retryTimer = window.setTimeout(again, RETRY_MS);
  }

  private onEmpty(): void {
    const live = this.window?.toMs === null;
    this.patch({
      status: "empty",
      message: live ? "No footage in the last minute." : "No footage at this time.",
    });
    if (live) {
      clearTimeout(this.retryTimer);
      const again = (): void => {
        if (this.liveSession) this.load(liveWindow(serverNow()), null, true);
        else this.startLive();
      };
      this.retryTimer = window.setTimeout(again, RETRY_MS);
    }
  }

  /** Playback reached the end of the window: continue after it. */
  private async playNextWindow(): Promise<void> {
    const end = wallEnd(this.segments()) ?? this.window?.toMs;
    if (end === null || end === undefined) return;
    this.poster.freeze();
    await this.start(end + 1);
  }

  private isBuffered(media: number): boolean {
    const { buffered } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (media >= buffered.start(i) && media < buffered.end(i) - 0.05) return true;
    }
    return false;
  }

  /** While paused, the browser may show the new frame before it reports the end of the seek. */
  private onSeeked(): void {
    if (this.video.readyState < 2 || this.lastFrame !== null) return;
    const now = this.video.currentTime;
    const isFresh = this.shownS !== null && Math.abs(this.shownS - now) < 0.5;
    this.frame(isFresh && this.shownS !== null ? this.shownS : now);
  }

  private frame(mediaS: number): void {
    this.shownS = mediaS;
    const wallMs = wallOf(this.segments(), mediaS);
    if (wallMs === null) return;
    // Frames of the old position may still arrive while the new one is loading.
    if (this.pendingSeekMs !== null) {
      if (this.video.seeking || Math.abs(wallMs - this.pendingSeekMs) > 5000) return;
      this.pendingSeekMs = null;
    }
    this.poster.hide();
    this.restarts.shown(wallMs);
    if (this.session === this.liveSession && this.liveTimer) this.endWait();
    const before = this.lastFrame;
    const frame = { wallMs, mediaS };
    this.lastFrame = frame;
    if (before) {
      const stepS = mediaS - before.mediaS;
      if (stepS > 0.005 && stepS < 0.5 && this.state.get().rate <= 1) this.frameS = stepS;
      // Where the device's picture jumps to the newest one, nothing need be missing.
      const jump = this.session instanceof HlsSession ? jumped(before, frame) : null;
      if (jump) void this.reportJump(jump.fromMs, jump.toMs);
    }
    this.onFrame(wallMs);
    const now = performance.now();
    if (this.video.paused || now - this.playheadSetAt >= PLAYHEAD_EVERY_MS) {
      this.playheadSetAt = now;
      this.playhead.set(wallMs);
    }
  }

  private async reportJump(fromMs: number, toMs: number): Promise<void> {
    this.showCrossing({ fromMs, toMs, reason: await gapReason(this.cameraId, fromMs, toMs) });
  }

  private showCrossing(crossing: Crossing | null): void {
    clearTimeout(this.crossingTimer);
    this.crossing.set(crossing);
    if (crossing) this.crossingTimer = window.setTimeout(() => this.crossing.set(null), 6000);
  }

  private showThumbnail(atMs: number | null, requestId: number): void {
    this.poster.showMoment(atMs, () => {
      const isWanted =
        requestId === this.requestId || (atMs !== null && this.pendingSeekMs === atMs);
      return isWanted && this.lastFrame === null;
    });
  }
}
