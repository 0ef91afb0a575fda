/** One live picture: waits for it on the socket, then plays it in a video element at its edge. */
import type { Segment } from "../player/mediaclock";
import { LiveEdge } from "./live-edge";
import { type Feed, LiveSocket } from "./live-socket";
import { MediaBuffer, mediaSourceClass, mediaType } from "./media-buffer";
import type { Format, Init, LiveDetections, LiveMessage, Media } from "./messages";

export interface LiveSessionEvents {
  /** The first picture is here: `attach` shows it. */
  onPicture(hasAudio: boolean): void;
  /** No picture comes now. It tries again, except where `isFinal`. */
  onLost(reason: string, isFinal: boolean): void;
  /** What people must know of the pictures that follow; empty: nothing. */
  onNote(note: string): void;
  onDetections(detections: LiveDetections): void;
}

const STEP_MS = 200;
/** A picture that came within this time is new. */
const FRESH_MS = 100;
/** Playback that stays so far behind, as in a pause, needs no socket. */
const PARK_BEHIND_S = 60;
const MOST_KEPT_BYTES = 16 << 20;

/** Whether this browser can play a live picture at all. */
export function playsLive(): boolean {
  return mediaSourceClass() !== null && "WebSocket" in globalThis;
}

export class LiveSession {
  /** It cannot end within; the interface of `HlsSession`. */
  readonly border = null;
  /** Whether playback stays at the newest picture. */
  follows = true;
  /** Whether it stopped because no one watches the newest picture. */
  parked = false;

  private readonly socket: LiveSocket;
  private readonly edge = new LiveEdge();
  private buffer: MediaBuffer | null = null;
  private video: HTMLVideoElement | null = null;
  private format: Format | null = null;
  private init: Init | null = null;
  /** All since the last keyframe, until a video element is attached. */
  private kept: Media[] = [];
  private keptBytes = 0;
  /** When the newest picture came. */
  private cameMs = 0;
  private readonly timer: number;
  private readonly controller = new AbortController();

  constructor(
    cameraId: string,
    feed: Feed,
    private readonly events: LiveSessionEvents,
  ) {
    this.socket = new LiveSocket(cameraId, feed, {
      onConnected: () => {
        this.init = null;
        this.forget();
      },
      onMessage: (message) => this.take(message),
      onLost: (reason) => {
        this.forget();
        events.onLost(reason, false);
      },
    });
    this.timer = window.setInterval(() => this.step(), STEP_MS);
  }

  get segments(): readonly Segment[] {
    return this.buffer?.segments ?? [];
  }

  /** Whether a picture can be shown now. */
  get hasPicture(): boolean {
    return this.kept.length > 0 || (this.buffer?.newestS ?? null) !== null;
  }

  get isAttached(): boolean {
    return this.buffer !== null;
  }

  destroy(): void {
    this.controller.abort();
    clearInterval(this.timer);
    this.socket.close();
    this.buffer?.destroy();
    this.buffer = null;
  }

  prepareFor(): void {
    // What comes is played when it comes.
  }

  /** Plays in this element from now on. */
  attach(video: HTMLVideoElement): void {
    const Source = mediaSourceClass();
    if (!Source || !this.format || !this.init) return;
    this.video = video;
    this.buffer = new MediaBuffer(Source, video, () => this.fail());
    this.buffer.init(this.init.bytes, this.format.codecs);
    for (const media of this.kept) this.append(media);
    this.forget();
    video.addEventListener(
      "waiting",
      () => {
        if (this.follows) this.edge.stalled(performance.now());
      },
      { signal: this.controller.signal },
    );
    video.addEventListener("error", () => this.fail(), { signal: this.controller.signal });
  }

  /** Jumps to the newest picture, and stays there. */
  follow(): void {
    this.follows = true;
    this.step();
  }

  private take(message: LiveMessage): void {
    switch (message.kind) {
      case "format":
        this.format = message;
        this.events.onNote(message.note);
        if (!mediaSourceClass()?.isTypeSupported(mediaType(message.codecs))) {
          this.stop(`This browser does not play ${message.codecs}.`);
        }
        break;
      case "init":
        this.init = message;
        this.forget();
        if (this.format) this.buffer?.init(message.bytes, this.format.codecs);
        break;
      case "media":
        this.takeMedia(message);
        break;
      case "detections":
        this.events.onDetections(message);
    }
  }

  private takeMedia(media: Media): void {
    if (!this.init || !this.format) return;
    if (this.buffer) {
      this.cameMs = performance.now();
      this.append(media);
      this.step();
      return;
    }
    if (media.keyframe) this.forget();
    else if (this.kept.length === 0) return;
    this.kept.push(media);
    this.keptBytes += media.bytes.byteLength;
    if (this.keptBytes > MOST_KEPT_BYTES) this.forget();
    else this.events.onPicture(this.format.codecs.includes(","));
  }

  private append({ bytes, keyframe, utcMs }: Media): void {
    this.buffer?.media(bytes, keyframe, utcMs);
  }

  private forget(): void {
    this.kept = [];
    this.keptBytes = 0;
  }

  private step(): void {
    const { video, buffer } = this;
    const newestS = buffer?.newestS ?? null;
    const startS = buffer?.startS ?? null;
    if (!video || newestS === null || startS === null) return;
    if (!this.follows) {
      if (newestS - video.currentTime > PARK_BEHIND_S) this.park();
      return;
    }
    if (video.paused || video.seeking || document.hidden) return;
    const nowMs = performance.now();
    const isFresh = nowMs - this.cameMs < FRESH_MS;
    const { rate, seekS } = this.edge.step(video.currentTime, startS, newestS, nowMs, isFresh);
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (seekS !== null) video.currentTime = seekS;
  }

  private park(): void {
    this.parked = true;
    clearInterval(this.timer);
    this.socket.close();
  }

  private fail(): void {
    this.stop("This browser cannot play the live picture.");
  }

  private stop(reason: string): void {
    this.socket.close();
    clearInterval(this.timer);
    this.events.onLost(reason, true);
  }
}
