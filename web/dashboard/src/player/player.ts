/** Plays one camera: live or any recorded moment, across gaps and from window to window. */
import { playlistUrl } from "../api/client";
import { serverNow } from "../clock";
import { createStore } from "../store";
import { jumped } from "../timeline/coverage";
import { Cover } from "./cover";
import { type Failure, Film, type HlsClass } from "./film";
import { findFootage, whyMissing } from "./footage";
import { watchFrames } from "./frames";
import { mediaOf, wallEnd, wallOf } from "./mediaclock";
import { liveWindow, nextRate, type PlayWindow, windowAround } from "./window";

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

  private film: Film | null = null;
  private readonly cover: Cover;
  private window: PlayWindow | null = null;
  private wantPlay = true;
  private turn = 0;
  private lastFrame: { wallMs: number; mediaS: number } | null = null;
  /** Film time of the last frame that the browser showed, whether it was wanted or not. */
  private shownS: number | null = null;
  private frameS = 0.04;
  private playheadSetAt = 0;
  private retryTimer = 0;
  private crossingTimer = 0;
  private awaited: number | null = null;
  private readonly leave = new AbortController();

  constructor(
    private readonly HlsJs: HlsClass,
    private readonly video: HTMLVideoElement,
    /** Lies over the video and shows a still picture while the video is not ready. */
    cover: HTMLCanvasElement,
    private readonly cameraId: string,
  ) {
    this.cover = new Cover(cover, video, cameraId);
    const on = (name: string, listener: () => void): void =>
      video.addEventListener(name, listener, { signal: this.leave.signal });
    on("playing", () => this.patch({ status: "playing", message: null }));
    on("pause", () => {
      if (!video.ended && !video.seeking) this.patch({ status: "paused" });
    });
    on("waiting", () => this.onWaiting());
    on("ended", () => void this.goOn());
    on("seeking", () => {
      this.lastFrame = null;
    });
    on("seeked", () => this.onSeeked());
    video.muted = true;
    watchFrames(video, (mediaS) => this.frame(mediaS), this.leave.signal);
  }

  destroy(): void {
    this.turn++;
    this.leave.abort();
    clearTimeout(this.retryTimer);
    clearTimeout(this.crossingTimer);
    this.film?.destroy();
    this.film = null;
  }

  /** Plays what is being recorded now, as near to it as the playlist allows. */
  goLive(): void {
    this.wantPlay = true;
    this.setRate(1);
    this.noteCrossing(null);
    this.awaited = null;
    this.cover.freeze();
    this.load(liveWindow(serverNow()), null);
    this.showThumbnail(null, this.turn);
  }

  /** Shows the picture of `wishMs` at once and plays on from there, or from the next footage. */
  async seek(wishMs: number): Promise<void> {
    const turn = ++this.turn;
    clearTimeout(this.retryTimer);
    this.noteCrossing(null);
    this.awaited = wishMs;
    this.lastFrame = null;
    this.playhead.set(wishMs);
    const media = mediaOf(this.pieces(), wishMs);
    if (media !== null) {
      if (!this.isBuffered(media)) this.showThumbnail(wishMs, turn);
      this.video.currentTime = media;
      this.resume();
      return;
    }
    this.showThumbnail(wishMs, turn);
    this.patch({ status: "loading", message: null });
    try {
      const found = await findFootage(this.cameraId, wishMs, serverNow());
      if (turn !== this.turn) return;
      if (found === null) {
        this.goLive();
        return;
      }
      if (found.skipped) {
        const { from_ms, to_ms, reason } = found.skipped;
        this.noteCrossing({ fromMs: from_ms, toMs: to_ms, reason });
        this.playhead.set(found.atMs);
        this.showThumbnail(found.atMs, turn);
      }
      this.awaited = found.atMs;
      this.load(windowAround(found.atMs, this.state.get().rate), found.atMs);
    } catch (error) {
      if (turn !== this.turn) return;
      this.fail(error instanceof Error ? error.message : String(error), () => this.seek(wishMs));
    }
  }

  nudge(byMs: number): void {
    const at = this.playhead.get();
    if (at !== null) void this.seek(Math.min(at + byMs, serverNow()));
  }

  /** One frame on or back; playing stops. */
  step(direction: 1 | -1): void {
    this.pause();
    const from = this.lastFrame?.mediaS ?? this.video.currentTime;
    this.video.currentTime = Math.max(0, from + direction * this.frameS + this.frameS * 0.1);
  }

  toggle(): void {
    if (this.wantPlay) this.pause();
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
    const first = this.pieces()[0];
    // After a long pause a live playlist has moved on and no longer holds this moment.
    if (at !== null && first && at < first.wallStartMs - 1000) void this.seek(at);
    else this.resume();
  }

  setRate(rate: number): void {
    this.video.defaultPlaybackRate = rate;
    this.video.playbackRate = rate;
    this.film?.prepareFor(rate);
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

  private pieces() {
    return this.film?.pieces ?? [];
  }

  private load(window: PlayWindow, startMs: number | null): void {
    this.turn++;
    clearTimeout(this.retryTimer);
    this.film?.destroy();
    this.lastFrame = null;
    this.window = window;
    this.patch({ live: window.toMs === null, status: "loading", message: null });
    const address = playlistUrl(this.cameraId, window.fromMs, window.toMs);
    const { rate } = this.state.get();
    this.film = new Film(this.HlsJs, this.video, address, startMs, rate, {
      onEmpty: () => this.onEmpty(),
      onFailure: (failure) => this.onFailure(failure),
      onAudio: (hasAudio) => this.patch({ hasAudio }),
    });
    this.setRate(rate);
    this.resume();
  }

  private resume(): void {
    if (!this.wantPlay) return;
    this.video.play().catch((error: unknown) => {
      // A newer load interrupts this play by itself; only a browser's refusal is final.
      if (error instanceof DOMException && error.name === "NotAllowedError") this.pause();
    });
  }

  private onWaiting(): void {
    if (this.state.get().status === "playing") this.patch({ status: "waiting" });
    const at = this.playhead.get();
    if (at !== null && serverNow() - at < NEAR_EDGE_MS && this.state.get().rate > 1) {
      this.setRate(1);
    }
  }

  private onFailure(failure: Failure): void {
    const at = this.playhead.get();
    const again = (): void => {
      if (this.window?.toMs === null || at === null) this.goLive();
      else void this.seek(at);
    };
    this.fail(
      failure === "network"
        ? "The footage could not be fetched. Trying again."
        : "This browser could not play the footage. Trying again.",
      again,
    );
  }

  private fail(message: string, again: () => void): void {
    this.patch({ status: "error", message });
    this.film?.destroy();
    this.film = null;
    clearTimeout(this.retryTimer);
    this.retryTimer = window.setTimeout(again, RETRY_MS);
  }

  private onEmpty(): void {
    const live = this.window?.toMs === null;
    this.patch({
      status: "empty",
      message: live ? "Nothing has arrived in the last minute." : "There is no footage here.",
    });
    if (live) {
      clearTimeout(this.retryTimer);
      this.retryTimer = window.setTimeout(() => this.goLive(), RETRY_MS);
    }
  }

  /** The window has been played to its end: what comes after it? */
  private async goOn(): Promise<void> {
    const end = wallEnd(this.pieces()) ?? this.window?.toMs;
    if (end === null || end === undefined) return;
    this.cover.freeze();
    await this.seek(end + 1);
  }

  private isBuffered(media: number): boolean {
    const { buffered } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (media >= buffered.start(i) && media < buffered.end(i) - 0.05) return true;
    }
    return false;
  }

  /** While stopped, the frame of the new place may have come by before the seek counted as done. */
  private onSeeked(): void {
    if (this.video.readyState < 2 || this.lastFrame !== null) return;
    const now = this.video.currentTime;
    const isFresh = this.shownS !== null && Math.abs(this.shownS - now) < 0.5;
    this.frame(isFresh && this.shownS !== null ? this.shownS : now);
  }

  private frame(mediaS: number): void {
    this.shownS = mediaS;
    const wallMs = wallOf(this.pieces(), mediaS);
    if (wallMs === null) return;
    // Frames of the old place may still come by while a new one is being fetched.
    if (this.awaited !== null) {
      if (this.video.seeking || Math.abs(wallMs - this.awaited) > 5000) return;
      this.awaited = null;
    }
    this.cover.hide();
    const before = this.lastFrame;
    const frame = { wallMs, mediaS };
    this.lastFrame = frame;
    if (before) {
      const stepS = mediaS - before.mediaS;
      if (stepS > 0.005 && stepS < 0.5 && this.state.get().rate <= 1) this.frameS = stepS;
      const jump = jumped(before, frame);
      if (jump) void this.tellJump(jump.fromMs, jump.toMs);
    }
    this.onFrame(wallMs);
    const now = performance.now();
    if (this.video.paused || now - this.playheadSetAt >= PLAYHEAD_EVERY_MS) {
      this.playheadSetAt = now;
      this.playhead.set(wallMs);
    }
  }

  private async tellJump(fromMs: number, toMs: number): Promise<void> {
    this.noteCrossing({ fromMs, toMs, reason: await whyMissing(this.cameraId, fromMs, toMs) });
  }

  private noteCrossing(crossing: Crossing | null): void {
    clearTimeout(this.crossingTimer);
    this.crossing.set(crossing);
    if (crossing) this.crossingTimer = window.setTimeout(() => this.crossing.set(null), 6000);
  }

  private showThumbnail(atMs: number | null, turn: number): void {
    this.cover.showMoment(atMs, () => {
      const isWanted = turn === this.turn || (atMs !== null && this.awaited === atMs);
      return isWanted && this.lastFrame === null;
    });
  }
}
