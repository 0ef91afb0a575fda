/** What the stream of the camera that is shown says: whether it works, and when something came. */
import { serverNow } from "./clock";

/** How often data is asked for that events announce, in case one was missed. */
const CALM_MS = 15_000;
const STEP_MS = 10_000;
const MOST_STEPS = 360;

export class LiveCamera {
  /** Whether events arrive; else everything is polled. */
  open = false;
  private footageMs = 0;
  private detectionsMs = 0;
  /** Step of time -> when detections of it came. */
  private readonly steps = new Map<number, number>();

  noteFootage(): void {
    this.footageMs = serverNow();
  }

  /** Detections of frames at these times came. */
  noteDetections(timesMs: readonly number[]): void {
    this.detectionsMs = serverNow();
    for (const atMs of timesMs) {
      const step = Math.floor(atMs / STEP_MS);
      this.steps.delete(step);
      this.steps.set(step, this.detectionsMs);
    }
    for (const step of this.steps.keys()) {
      if (this.steps.size <= MOST_STEPS) break;
      this.steps.delete(step);
    }
  }

  /** Whether the detections of a time, asked for at `askedMs`, should be asked for again. */
  detectionsDue(askedMs: number, everyMs: number, fromMs = 0, toMs = Infinity): boolean {
    let changedMs = 0;
    for (const [step, noted] of this.steps) {
      if (step * STEP_MS < toMs && (step + 1) * STEP_MS > fromMs) {
        changedMs = Math.max(changedMs, noted);
      }
    }
    return this.due(askedMs, everyMs, changedMs);
  }

  /** Whether data of `askedMs` that shows footage and detections should be asked for again. */
  footageDue(askedMs: number, everyMs: number): boolean {
    return this.due(askedMs, everyMs, Math.max(this.footageMs, this.detectionsMs));
  }

  private due(askedMs: number, everyMs: number, changedMs: number): boolean {
    const ageMs = serverNow() - askedMs;
    if (ageMs < everyMs) return false;
    return !this.open || changedMs >= askedMs || ageMs >= CALM_MS;
  }
}

/** Of the camera page that is open. */
export const liveCamera = new LiveCamera();
