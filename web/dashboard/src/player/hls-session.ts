/** Plays one playlist in the video element with hls.js: loading, start position, errors. */
import type Hls from "hls.js";
import type { ErrorData, LevelDetails } from "hls.js";
import { mediaAtOrAfter, type Segment } from "./mediaclock";

export type HlsClass = typeof Hls;

export type Failure = "network" | "media";

export interface HlsSessionEvents {
  /** The playlist has no footage. */
  onEmpty(): void;
  onFailure(failure: Failure): void;
  onAudio(hasAudio: boolean): void;
}

const MOST_RECOVERIES = 2;

export class HlsSession {
  /** The playlist's segments with their media times. */
  segments: readonly Segment[] = [];

  private readonly hls: Hls;
  private gone = false;
  private recoveries = 0;

  /** Plays from `startMs` or the first footage after it; null: near the live edge. */
  constructor(
    private readonly HlsJs: HlsClass,
    video: HTMLVideoElement,
    address: string,
    startMs: number | null,
    rate: number,
    private readonly events: HlsSessionEvents,
  ) {
    const { Events } = HlsJs;
    const hls = new HlsJs({
      autoStartLoad: false,
      // two fragments of 4 s: the list's target duration is longer than most of its segments
      liveSyncDuration: 8,
      backBufferLength: 90,
      maxBufferLength: bufferSeconds(rate),
      enableCEA708Captions: false,
      enableWebVTT: false,
      enableIMSC1: false,
    });
    this.hls = hls;
    let started = false;
    hls.on(Events.LEVEL_LOADED, (_event, { details }) => {
      this.take(details);
      if (started || this.gone) return;
      if (this.segments.length === 0) {
        events.onEmpty();
        return;
      }
      started = true;
      hls.startLoad(startMs === null ? -1 : (mediaAtOrAfter(this.segments, startMs) ?? -1));
    });
    hls.on(Events.LEVEL_UPDATED, (_event, { details }) => this.take(details));
    hls.on(Events.LEVEL_PTS_UPDATED, (_event, { details }) => this.take(details));
    hls.on(Events.FRAG_BUFFERED, () => this.take(hls.latestLevelDetails));
    hls.on(Events.BUFFER_CREATED, (_event, { tracks }) => {
      events.onAudio(Boolean(tracks.audio ?? tracks.audiovideo));
    });
    hls.on(Events.ERROR, (_event, data) => this.onError(data));
    hls.attachMedia(video);
    hls.loadSource(address);
  }

  destroy(): void {
    this.gone = true;
    this.hls.destroy();
  }

  /** Buffers further ahead for faster playback. */
  prepareFor(rate: number): void {
    this.hls.config.maxBufferLength = bufferSeconds(rate);
  }

  private take(details: LevelDetails | null): void {
    if (details && !this.gone) this.segments = segmentsOf(details);
  }

  private onError(data: ErrorData): void {
    const { ErrorDetails, ErrorTypes } = this.HlsJs;
    if (this.gone) return;
    // The API answers 404 for a range without footage.
    if (data.details === ErrorDetails.LEVEL_EMPTY_ERROR || isMissingPlaylist(data)) {
      this.events.onEmpty();
      return;
    }
    if (!data.fatal) return;
    if (data.type === ErrorTypes.MEDIA_ERROR && this.recoveries < MOST_RECOVERIES) {
      this.recoveries++;
      this.hls.recoverMediaError();
      return;
    }
    this.events.onFailure(data.type === ErrorTypes.NETWORK_ERROR ? "network" : "media");
  }
}

function bufferSeconds(rate: number): number {
  return Math.min(240, 20 * Math.max(1, rate));
}

function isMissingPlaylist({ details, response }: ErrorData): boolean {
  return response?.code === 404 && /^(manifest|level)Load/.test(details);
}

function segmentsOf(details: LevelDetails): Segment[] {
  const segments: Segment[] = [];
  for (const { start, duration, programDateTime } of details.fragments) {
    if (programDateTime === null || programDateTime === undefined) continue;
    segments.push({ mediaStartS: start, durationS: duration, wallStartMs: programDateTime });
  }
  return segments;
}
