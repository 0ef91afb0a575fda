/** Plays one playlist in the video element with hls.js: loading, start position, errors. */
import type Hls from "hls.js";
import type { ErrorData, Fragment, LevelDetails } from "hls.js";
import { mediaOfStart, type Segment, type Start } from "./mediaclock";

export type HlsClass = typeof Hls;

export type Failure = "network" | "media";

export interface HlsSessionEvents {
  /** The playlist has no footage. */
  onEmpty(): void;
  /** `atMs`: the wall time of the segment, if it is known. */
  onFailure(failure: Failure, atMs: number | null): void;
  /** The border was reached by a seek: nothing is left to play before it. */
  onCut(): void;
  onAudio(hasAudio: boolean): void;
}

const MOST_RECOVERIES = 2;
/** Buffers may be longer or shorter than their segments by this much. */
const SLACK_S = 0.5;

export class HlsSession {
  /** The playlist's segments with their media times. */
  segments: readonly Segment[] = [];
  /** The first segment with other tracks. Nothing is loaded from there on: the video ends. */
  border: Segment | null = null;

  private readonly hls: Hls;
  private gone = false;
  private recoveries = 0;
  /** Which tracks the first segment has. */
  private tracks: string | null = null;
  private loading: Fragment | null = null;

  /** Plays from `start` or the first footage after it; null: near the live edge. */
  constructor(
    private readonly HlsJs: HlsClass,
    private readonly video: HTMLVideoElement,
    address: string,
    start: Start | null,
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
      hls.startLoad(start === null ? -1 : (mediaOfStart(this.segments, start) ?? -1));
    });
    hls.on(Events.LEVEL_UPDATED, (_event, { details }) => this.take(details));
    hls.on(Events.LEVEL_PTS_UPDATED, (_event, { details }) => this.take(details));
    hls.on(Events.FRAG_BUFFERED, () => this.take(hls.latestLevelDetails));
    hls.on(Events.FRAG_LOADING, (_event, { frag }) => {
      this.loading = frag;
    });
    hls.on(Events.BUFFER_CODECS, (_event, { audio, video, audiovideo }) => {
      this.onTracks(`${Boolean(audio)} ${Boolean(video)} ${Boolean(audiovideo)}`);
    });
    // Removing from a buffer takes its end back.
    hls.on(Events.BUFFER_FLUSHED, () => {
      if (this.border && !this.gone) this.endAtBorder();
    });
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

  /** hls.js cannot add or remove a track: what follows needs another session. */
  private onTracks(tracks: string): void {
    if (this.gone || this.border) return;
    this.tracks ??= tracks;
    if (this.tracks === tracks) return;
    this.border = this.loading && segmentOf(this.loading);
    const { border, hls } = this;
    if (border === null) return;
    // Before the segment's pictures are appended.
    hls.stopLoad();
    // hls.js finishes its event first.
    queueMicrotask(() => {
      if (this.gone) return;
      if (this.video.currentTime >= border.mediaStartS || !isBuffered(this.video)) {
        this.events.onCut();
        return;
      }
      // What was buffered behind the border by an earlier seek is not next.
      const startOffset = border.mediaStartS + SLACK_S;
      if (bufferEnd(this.video) > startOffset) {
        const { BUFFER_FLUSHING } = this.HlsJs.Events;
        hls.trigger(BUFFER_FLUSHING, { startOffset, endOffset: Infinity, type: null });
      } else this.endAtBorder();
    });
  }

  /** What is buffered plays to its end, then the video element ends. */
  private endAtBorder(): void {
    this.hls.trigger(this.HlsJs.Events.BUFFER_EOS, { type: null });
  }

  private take(details: LevelDetails | null): void {
    if (details && !this.gone) this.segments = segmentsOf(details);
  }

  private onError(data: ErrorData): void {
    const { ErrorDetails, ErrorTypes } = this.HlsJs;
    // At the border, hls.js tries to append to a buffer that does not exist.
    if (this.gone || this.border) return;
    // The API answers 404 for a range without footage.
    if (data.details === ErrorDetails.LEVEL_EMPTY_ERROR || isMissingPlaylist(data)) {
      this.events.onEmpty();
      return;
    }
    if (!data.fatal) return;
    if (data.type === ErrorTypes.MEDIA_ERROR && this.recoveries < MOST_RECOVERIES) {
      this.recoveries++;
      this.tracks = null;
      this.hls.recoverMediaError();
      return;
    }
    const failure = data.type === ErrorTypes.NETWORK_ERROR ? "network" : "media";
    this.events.onFailure(failure, data.frag?.programDateTime ?? null);
  }
}

function bufferSeconds(rate: number): number {
  return Math.min(240, 20 * Math.max(1, rate));
}

function isMissingPlaylist({ details, response }: ErrorData): boolean {
  return response?.code === 404 && /^(manifest|level)Load/.test(details);
}

/** Whether the position is buffered, with some slack. */
function isBuffered({ buffered, currentTime }: HTMLVideoElement): boolean {
  for (let i = 0; i < buffered.length; i++) {
    const isBehind = currentTime >= buffered.start(i) - SLACK_S;
    if (isBehind && currentTime <= buffered.end(i) + SLACK_S) return true;
  }
  return false;
}

function bufferEnd({ buffered }: HTMLVideoElement): number {
  return buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
}

function segmentsOf(details: LevelDetails): Segment[] {
  return details.fragments.map(segmentOf).filter((segment) => segment !== null);
}

function segmentOf(fragment: Fragment): Segment | null {
  const { start, duration, programDateTime, url, byteRangeStartOffset } = fragment;
  if (programDateTime === null || programDateTime === undefined) return null;
  const key = `${url}@${byteRangeStartOffset ?? 0}`;
  return { mediaStartS: start, durationS: duration, wallStartMs: programDateTime, key };
}
