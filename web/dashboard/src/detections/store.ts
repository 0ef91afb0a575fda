/** Detections around the playhead, fetched ahead of it in blocks of time. */
import { getDetections } from "../api/client";
import type { Detection } from "../api/types";
import { serverNow } from "../clock";
import type { LiveDetections, LiveObject } from "../live/messages";
import { liveCamera } from "../live-camera";
import { boxesAt, type Sample, type Shown, samplingInterval, toSamples } from "./nearest";

const BLOCK_MS = 20_000;
/** Detections of this last time may still be in flight. */
const SETTLING_MS = 30_000;
const REFRESH_MS = 1500;
const RETRY_MS = 3000;
const MOST_BLOCKS = 60;
const MOST_LIVE = 200;

/** What the boxes do not need. */
const UNKNOWN = { run: "", pts: 0, model: "", model_version: "" };

interface Block {
  samples: Sample[];
  fetchedAt: number;
  settled: boolean;
  busy: boolean;
}

export class DetectionStore {
  private readonly blocks = new Map<number, Block>();
  private readonly controller = new AbortController();
  private joined: { index: number; version: number; samples: Sample[]; intervalMs: number } | null =
    null;
  private version = 0;
  /** Came with the live picture, newest last; the API may not have them yet. */
  private live: Sample[] = [];

  constructor(
    private readonly cameraId: string,
    private readonly onChange: () => void,
  ) {}

  destroy(): void {
    this.controller.abort();
  }

  /** The boxes for the frame at `atMs`; starts fetching what is missing here and ahead. */
  at(atMs: number, rate: number): Shown[] {
    const index = Math.floor(atMs / BLOCK_MS);
    const ahead = 1 + Math.ceil(rate / 4);
    for (let i = index - 1; i <= index + ahead; i++) this.want(i);
    if (!this.joined || this.joined.index !== index || this.joined.version !== this.version) {
      const known = [index - 1, index, index + 1].flatMap((i) => this.blocks.get(i)?.samples ?? []);
      const newestMs = known[known.length - 1]?.atMs ?? 0;
      const samples = [...known, ...this.live.filter(({ atMs: liveMs }) => liveMs > newestMs)];
      this.joined = {
        index,
        version: this.version,
        samples,
        intervalMs: samplingInterval(samples),
      };
    }
    return boxesAt(this.joined.samples, this.joined.intervalMs, atMs);
  }

  /** Adds the boxes of pictures as they come with the live picture. */
  push({ frames }: LiveDetections): void {
    const added = frames.map(({ at_ms, objects }) => ({
      atMs: at_ms,
      found: objects.map((object, index) => toDetection(object, at_ms, index)),
    }));
    this.live = [...this.live, ...added].sort((a, b) => a.atMs - b.atMs).slice(-MOST_LIVE);
    this.version++;
    this.onChange();
  }

  private want(index: number): void {
    const startMs = index * BLOCK_MS;
    const now = serverNow();
    if (startMs > now) return;
    const known = this.blocks.get(index);
    if (known && (known.busy || known.settled)) return;
    const endMs = startMs + BLOCK_MS;
    if (known && !liveCamera.detectionsDue(known.fetchedAt, REFRESH_MS, startMs, endMs)) return;
    const block: Block = known ?? { samples: [], fetchedAt: 0, settled: false, busy: false };
    block.busy = true;
    this.blocks.delete(index);
    this.blocks.set(index, block);
    this.forgetOldest();
    void this.fetch(block, startMs);
  }

  private async fetch(block: Block, startMs: number): Promise<void> {
    try {
      const found: Detection[] = await getDetections(
        this.cameraId,
        startMs,
        startMs + BLOCK_MS,
        this.controller.signal,
      );
      block.fetchedAt = serverNow();
      block.settled = startMs + BLOCK_MS < block.fetchedAt - SETTLING_MS;
      block.samples = toSamples(found);
      this.version++;
      this.onChange();
    } catch {
      // The boxes of this range come later; playback continues without them.
      block.fetchedAt = serverNow() + RETRY_MS;
    } finally {
      block.busy = false;
    }
  }

  private forgetOldest(): void {
    for (const index of this.blocks.keys()) {
      if (this.blocks.size <= MOST_BLOCKS) return;
      this.blocks.delete(index);
    }
  }
}

function toDetection(object: LiveObject, atMs: number, index: number): Detection {
  const { label, score, box, track = null } = object;
  return { at_ms: atMs, index, label, score, box, track, ...UNKNOWN };
}
