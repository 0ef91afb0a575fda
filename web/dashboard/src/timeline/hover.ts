/** Fetches the frame under the cursor: one at a time, the newest request first, then neighbours. */
import { thumbnailUrl } from "../api/client";

const WIDTH = 240;
const MAX_CACHED = 400;
const FAILED_FOR_MS = 5000;

export class HoverPictures {
  private readonly cache = new Map<number, HTMLImageElement>();
  private readonly failed = new Map<number, number>();
  private queue: number[] = [];
  private busy = false;

  constructor(
    private readonly cameraId: string,
    private readonly onPicture: () => void,
  ) {}

  /** The loaded picture for `atMs`, or null; requests it and its neighbours. */
  at(atMs: number, stepMs: number, isRecorded: (ms: number) => boolean): string | null {
    const snap = Math.floor(atMs / stepMs) * stepMs;
    const wishes = [snap, snap + stepMs, snap - stepMs, snap + 2 * stepMs, snap - 2 * stepMs];
    const now = Date.now();
    this.queue = wishes.filter(
      (ms) =>
        !this.cache.has(ms) && isRecorded(ms) && now - (this.failed.get(ms) ?? 0) > FAILED_FOR_MS,
    );
    this.pump();
    return this.cache.get(snap)?.src ?? null;
  }

  private pump(): void {
    if (this.busy) return;
    const ms = this.queue.shift();
    if (ms === undefined) return;
    this.busy = true;
    const picture = new Image();
    const done = (): void => {
      this.busy = false;
      this.onPicture();
      this.pump();
    };
    picture.onload = () => {
      this.cache.set(ms, picture);
      const oldest = this.cache.keys().next().value;
      if (this.cache.size > MAX_CACHED && oldest !== undefined) this.cache.delete(oldest);
      done();
    };
    picture.onerror = () => {
      this.failed.set(ms, Date.now());
      done();
    };
    picture.src = thumbnailUrl(this.cameraId, WIDTH, ms);
  }
}

/** How far apart pictures are taken at a zoom level: about eight pixels, never under half a second. */
export function pictureStep(spanMs: number, width: number): number {
  const wanted = (spanMs / Math.max(1, width)) * 8;
  const steps = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000];
  return steps.find((step) => step >= wanted) ?? 3_600_000;
}
