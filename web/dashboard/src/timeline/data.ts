/** The timeline's data, fetched in tiles of time at the resolution that the zoom needs. */
import { getTimeline } from "../api/client";
import type { Gap, Timeline } from "../api/types";
import { serverNow } from "../clock";
import { liveCamera } from "../live-camera";
import { BUCKET_LADDER, bucketFor, type View } from "./scale";

const BUCKETS_PER_TILE = 400;
const HOT_MS = 3000;
const COOL_MS = 60_000;
const RECENT_MS = 5 * 60_000;
const MOST_TILES = 120;
const MOST_AT_ONCE = 3;

interface Tile {
  readonly bucketMs: number;
  readonly fromMs: number;
  readonly toMs: number;
  answer: Timeline | null;
  requestedAt: number;
  failed: boolean;
}

/** A piece of an answer to draw, cut to `fromMs`..`toMs`. */
export interface Slice {
  readonly fromMs: number;
  readonly toMs: number;
  readonly answer: Timeline | null;
}

export class TimelineData {
  private readonly tiles = new Map<string, Tile>();
  private readonly controller = new AbortController();
  private running = 0;
  private wanted: Tile[] = [];

  constructor(
    private readonly cameraId: string,
    private readonly onChange: () => void,
  ) {}

  destroy(): void {
    this.controller.abort();
  }

  /** What to draw now for the view, in the best loaded resolution; requests what is missing or old. */
  slices(view: View, width: number): Slice[] {
    const bucketMs = bucketFor(view, width);
    const lengthMs = bucketMs * BUCKETS_PER_TILE;
    const slices: Slice[] = [];
    const wanted: Tile[] = [];
    const now = serverNow();
    const first = Math.floor(view.fromMs / lengthMs);
    for (let index = first; index * lengthMs < view.toMs; index++) {
      if (index * lengthMs > now) break;
      const tile = this.tile(bucketMs, index * lengthMs, lengthMs);
      const recent = tile.toMs > now - RECENT_MS;
      const isHot = recent && liveCamera.footageDue(tile.requestedAt, HOT_MS);
      const ageMs = now - tile.requestedAt;
      if (isHot || ageMs > (tile.failed ? HOT_MS : COOL_MS)) wanted.push(tile);
      slices.push({
        fromMs: tile.fromMs,
        toMs: tile.toMs,
        answer: tile.answer ?? this.placeholder(tile),
      });
    }
    this.wanted = wanted;
    this.pump();
    return slices;
  }

  /** The gap at a moment, as far as the loaded tiles know; undefined when it is recorded or unknown. */
  gapAt(atMs: number): Gap | undefined {
    for (const tile of [...this.tiles.values()].reverse()) {
      if (!tile.answer || atMs < tile.fromMs || atMs >= tile.toMs) continue;
      return tile.answer.gaps.find((gap) => atMs >= gap.from_ms && atMs < gap.to_ms);
    }
    return undefined;
  }

  /** Whether a moment is recorded: null while it is not loaded. */
  isRecorded(atMs: number): boolean | null {
    for (const tile of [...this.tiles.values()].reverse()) {
      if (!tile.answer || atMs < tile.fromMs || atMs >= tile.toMs) continue;
      return tile.answer.covered.some(([fromMs, toMs]) => atMs >= fromMs && atMs < toMs);
    }
    return null;
  }

  /** Labels in the loaded data. */
  labels(): Set<string> {
    const labels = new Set<string>();
    for (const { answer } of this.tiles.values()) {
      for (const { label } of answer?.detections ?? []) labels.add(label);
    }
    return labels;
  }

  private tile(bucketMs: number, fromMs: number, lengthMs: number): Tile {
    const key = `${bucketMs} ${fromMs}`;
    let tile = this.tiles.get(key);
    if (tile) this.tiles.delete(key);
    else {
      tile = {
        bucketMs,
        fromMs,
        toMs: fromMs + lengthMs,
        answer: null,
        requestedAt: 0,
        failed: false,
      };
    }
    this.tiles.set(key, tile);
    for (const old of this.tiles.keys()) {
      if (this.tiles.size <= MOST_TILES) break;
      this.tiles.delete(old);
    }
    return tile;
  }

  /** Data of another zoom level for the same time, until the right one is there. */
  private placeholder(wanted: Tile): Timeline | null {
    const rank = BUCKET_LADDER.indexOf(wanted.bucketMs);
    let best: Tile | null = null;
    let bestRank = Number.POSITIVE_INFINITY;
    for (const tile of this.tiles.values()) {
      if (!tile.answer || tile.toMs <= wanted.fromMs || tile.fromMs >= wanted.toMs) continue;
      const away = BUCKET_LADDER.indexOf(tile.bucketMs) - rank;
      const distance = away >= 0 ? away : 20 - away;
      if (distance < bestRank) {
        best = tile;
        bestRank = distance;
      }
    }
    return best?.answer ?? null;
  }

  private pump(): void {
    while (this.running < MOST_AT_ONCE) {
      const tile = this.wanted.shift();
      if (!tile) return;
      tile.requestedAt = serverNow();
      this.running++;
      void this.fetch(tile).finally(() => {
        this.running--;
        this.pump();
      });
    }
  }

  private async fetch(tile: Tile): Promise<void> {
    try {
      tile.answer = await getTimeline(
        this.cameraId,
        tile.fromMs,
        tile.toMs,
        BUCKETS_PER_TILE,
        this.controller.signal,
      );
      tile.failed = false;
      this.onChange();
    } catch {
      // The screen keeps its data; the tile is requested again soon.
      tile.failed = true;
    }
  }
}
