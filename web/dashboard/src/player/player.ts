/** Plays one camera: live or from any recorded time, across gaps and time windows. */
import { playlistUrl } from "../api/client";
import { serverNow } from "../clock";
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

export interface PlayerState {
  readonly live: boolean;
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
/** A position this much before a segment belongs to the one before it. */
const MARGIN_S = 0.01;

export class Player {
  readonly state = createStore<PlayerState>({
    live: false,
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

  private session: HlsSession | null = null;
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
    this.session?.destroy();
    this.session = null;
  }

  /** Plays the live edge, as near to it as the playlist allows. */
  goLive(): void {
    this.restarts.reset();
    this.startLive();
  }

  private startLive(): void {
    this.wantPlay = true;
    this.setRate(1);
    this.showCrossing(null);
    this.pendingSeekMs = null;
    this.poster.freeze();
    this.load(liveWindow(serverNow()), null);
    this.showThumbnail(null, this.requestId);
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
    this.video.pause();
    this.patch({ status: "paused" });
  }

  play(): void {
    this.wantPlay = true;
    const at = this.playhead.get();
    const first = this.segments()[0];
    if (!this.session) {
      // It stopped after an error.
      if (this.state.get().live || at === null) this.goLive();
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

  private load(window: PlayWindow, start: Start | null): void {
    this.requestId++;
    clearTimeout(this.retryTimer);
    clearTimeout(this.borderTimer);
    this.session?.destroy();
    this.lastFrame = null;
    this.window = window;
    this.patch({ live: window.toMs === null, status: "loading", message: null });
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
    this.session?.destroy();
    this.session = null;
    clearTimeout(this.retryTimer);
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
      this.retryTimer = window.setTimeout(() => this.startLive(), RETRY_MS);
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
    const before = this.lastFrame;
    const frame = { wallMs, mediaS };
    this.lastFrame = frame;
    if (before) {
      const stepS = mediaS - before.mediaS;
      if (stepS > 0.005 && stepS < 0.5 && this.state.get().rate <= 1) this.frameS = stepS;
      const jump = jumped(before, frame);
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
