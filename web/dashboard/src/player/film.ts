/** One playlist in the video element, by hls.js: what is loaded, where it begins, what fails. */
import type Hls from "hls.js";
import type { ErrorData, LevelDetails } from "hls.js";
import { mediaAtOrAfter, type Piece } from "./mediaclock";

export type HlsClass = typeof Hls;

export type Failure = "network" | "media";

export interface FilmEvents {
  /** The playlist holds no footage. */
  onEmpty(): void;
  onFailure(failure: Failure): void;
  onAudio(hasAudio: boolean): void;
}

const MOST_RECOVERIES = 2;

export class Film {
  /** The playlist's pieces, where the browser has put them. */
  pieces: readonly Piece[] = [];

  private readonly hls: Hls;
  private gone = false;
  private recoveries = 0;

  /** Plays from `startMs` or the first footage after it; null: as near to live as is safe. */
  constructor(
    private readonly HlsJs: HlsClass,
    video: HTMLVideoElement,
    address: string,
    startMs: number | null,
    rate: number,
    private readonly events: FilmEvents,
  ) {
    const { Events } = HlsJs;
    const hls = new HlsJs({
      autoStartLoad: false,
      liveSyncDurationCount: 2,
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
      if (this.pieces.length === 0) {
        events.onEmpty();
        return;
      }
      started = true;
      hls.startLoad(startMs === null ? -1 : (mediaAtOrAfter(this.pieces, startMs) ?? -1));
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

  /** Loads further ahead when it is played faster. */
  prepareFor(rate: number): void {
    this.hls.config.maxBufferLength = bufferSeconds(rate);
  }

  private take(details: LevelDetails | null): void {
    if (details && !this.gone) this.pieces = piecesOf(details);
  }

  private onError(data: ErrorData): void {
    const { ErrorDetails, ErrorTypes } = this.HlsJs;
    if (this.gone) return;
    // The API answers 404 where a range holds no footage.
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

function piecesOf(details: LevelDetails): Piece[] {
  const pieces: Piece[] = [];
  for (const { start, duration, programDateTime } of details.fragments) {
    if (programDateTime === null || programDateTime === undefined) continue;
    pieces.push({ mediaStartS: start, durationS: duration, wallStartMs: programDateTime });
  }
  return pieces;
}
