/** Appends the segments of a live picture to a video element, one after the other, bounded. */
import type { Segment } from "../player/mediaclock";
import { type SegmentTime, segmentTime, timescaleOf } from "./messages";

interface Task {
  readonly kind: "init" | "media";
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type?: string;
  readonly utcMs?: number;
}

/** Behind the playhead this much stays: a person may go back by ten seconds. */
const BACK_S = 20;
const EVICT_AFTER_S = 30;
/** Longer waiting media are dropped: the browser does not keep up, or the tab is frozen. */
const MOST_WAITING_BYTES = 24 << 20;

type SourceClass = typeof MediaSource;

/** The browser's MediaSource; Safari on phones has only the managed one. */
export function mediaSourceClass(): SourceClass | null {
  const managed = (globalThis as { ManagedMediaSource?: SourceClass }).ManagedMediaSource;
  return managed ?? globalThis.MediaSource ?? null;
}

export function mediaType(codecs: string): string {
  return `video/mp4; codecs="${codecs}"`;
}

export class MediaBuffer {
  /** The pictures that were appended, by media time. */
  segments: Segment[] = [];
  /** Media time of the newest picture. */
  newestS: number | null = null;

  private readonly source: MediaSource;
  private readonly url: string;
  private buffer: SourceBuffer | null = null;
  private type = "";
  private timescale = 0;
  private tasks: Task[] = [];
  private waitingBytes = 0;
  /** After an init segment: the next media continue where the last ones ended. */
  private joins = true;
  private needsKeyframe = true;
  private offsetS = 0;
  private gone = false;

  constructor(
    Source: SourceClass,
    private readonly video: HTMLVideoElement,
    /** The browser cannot play it, or has no memory for it. */
    private readonly onFailure: () => void,
  ) {
    this.source = new Source();
    // Safari gives a managed source only to a video that is shown on this device.
    video.disableRemotePlayback = true;
    this.url = URL.createObjectURL(this.source);
    video.src = this.url;
    this.source.addEventListener("sourceopen", () => this.run());
  }

  destroy(): void {
    this.gone = true;
    this.tasks = [];
    URL.revokeObjectURL(this.url);
  }

  init(bytes: Uint8Array<ArrayBuffer>, codecs: string): void {
    // Media of the format before it were shown, or no one waits for them.
    this.tasks = [];
    this.waitingBytes = 0;
    this.needsKeyframe = true;
    this.push({ kind: "init", bytes, type: mediaType(codecs) });
  }

  media(bytes: Uint8Array<ArrayBuffer>, keyframe: boolean, utcMs: number): void {
    if (this.needsKeyframe && !keyframe) return;
    this.needsKeyframe = false;
    if (this.waitingBytes + bytes.byteLength > MOST_WAITING_BYTES) {
      this.tasks = this.tasks.filter(({ kind }) => kind === "init");
      this.waitingBytes = 0;
      this.joins = true;
      this.needsKeyframe = !keyframe;
      if (!keyframe) return;
    }
    this.push({ kind: "media", bytes, utcMs });
  }

  /** Where the buffer that holds the newest picture begins. */
  get startS(): number | null {
    const { buffered } = this.video;
    return buffered.length > 0 ? buffered.start(buffered.length - 1) : null;
  }

  private push(task: Task): void {
    this.tasks.push(task);
    this.waitingBytes += task.bytes.byteLength;
    this.run();
  }

  private run(): void {
    if (this.gone || this.source.readyState !== "open" || this.buffer?.updating) return;
    try {
      if (this.evict()) return;
      const task = this.tasks.shift();
      if (!task) return;
      this.waitingBytes -= task.bytes.byteLength;
      if (task.kind === "init") this.appendInit(task);
      else this.appendMedia(task);
    } catch (error) {
      if (error instanceof DOMException && error.name === "QuotaExceededError") this.makeRoom();
      else this.fail();
    }
  }

  private appendInit({ bytes, type }: Task): void {
    if (!this.buffer) {
      this.buffer = this.source.addSourceBuffer(type ?? "");
      this.buffer.addEventListener("updateend", () => this.run());
      this.buffer.addEventListener("error", () => this.fail());
    } else if (type !== this.type) this.buffer.changeType(type ?? "");
    this.type = type ?? "";
    this.timescale = timescaleOf(bytes) ?? 90_000;
    this.joins = true;
    this.buffer.appendBuffer(bytes);
  }

  private appendMedia(task: Task): void {
    const { buffer } = this;
    const time = segmentTime(task.bytes, this.timescale);
    if (!buffer || !time) {
      this.run();
      return;
    }
    if (this.joins) {
      this.joins = false;
      // Media time goes on; only the clock of the pictures jumps.
      this.offsetS = this.endS() - time.startS;
      buffer.timestampOffset = this.offsetS;
    }
    this.remember(task.utcMs ?? 0, time);
    buffer.appendBuffer(task.bytes);
  }

  private remember(utcMs: number, { startS, durationS }: SegmentTime): void {
    const mediaStartS = startS + this.offsetS;
    const segment = { mediaStartS, durationS, wallStartMs: utcMs };
    let at = this.segments.length;
    while (at > 0 && (this.segments[at - 1]?.mediaStartS ?? 0) > mediaStartS) at--;
    this.segments.splice(at, 0, segment);
    this.newestS = Math.max(this.newestS ?? 0, mediaStartS);
  }

  private endS(): number {
    const { buffered } = this.video;
    return buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
  }

  /** Removes what was shown long ago; returns whether the browser works on it. */
  private evict(): boolean {
    const { buffered, currentTime } = this.video;
    const start = buffered.length > 0 ? buffered.start(0) : currentTime;
    if (!this.buffer || currentTime - start < EVICT_AFTER_S) return false;
    this.remove(currentTime - BACK_S);
    return true;
  }

  private remove(untilS: number): void {
    this.segments = this.segments.filter(({ mediaStartS }) => mediaStartS >= untilS - 1);
    this.buffer?.remove(0, untilS);
  }

  /** The browser's memory for video is full. */
  private makeRoom(): void {
    const untilS = this.video.currentTime - 1;
    if (this.buffer && untilS > (this.segments[0]?.mediaStartS ?? untilS)) this.remove(untilS);
    else this.fail();
    this.joins = true;
    this.needsKeyframe = true;
  }

  private fail(): void {
    if (this.gone) return;
    this.destroy();
    this.onFailure();
  }
}
