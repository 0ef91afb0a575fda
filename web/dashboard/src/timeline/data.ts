/** What a timeline draws, fetched in tiles of time at the fineness that the zoom needs. */
import { getTimeline } from "../api/client";
import type { Gap, TimelineAnswer } from "../api/types";
import { serverNow } from "../clock";
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
  answer: TimelineAnswer | null;
  askedAt: number;
  failed: boolean;
}

/** A piece of an answer to draw, cut to `fromMs`..`toMs`. */
export interface Slice {
  readonly fromMs: number;
  readonly toMs: number;
  readonly answer: TimelineAnswer | null;
}

export class TimelineData {
  private readonly tiles = new Map<string, Tile>();
  private readonly leave = new AbortController();
  private running = 0;
  private wanted: Tile[] = [];

  constructor(
    private readonly cameraId: string,
    private readonly onChange: () => void,
  ) {}

  destroy(): void {
    this.leave.abort();
  }

  /** What to draw now for the view, the finest that is at hand; asks for what is missing or old. */
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
      if (now - tile.askedAt > (recent || tile.failed ? HOT_MS : COOL_MS)) wanted.push(tile);
      slices.push({
        fromMs: tile.fromMs,
        toMs: tile.toMs,
        answer: tile.answer ?? this.standIn(tile),
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

  /** Whether a moment is recorded: null while nobody has asked. */
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
        askedAt: 0,
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
  private standIn(wanted: Tile): TimelineAnswer | null {
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
      tile.askedAt = serverNow();
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
        this.leave.signal,
      );
      tile.failed = false;
      this.onChange();
    } catch {
      // What is on the screen stays; the tile is asked for again soon.
      tile.failed = true;
    }
  }
}
