/** What the stream of the camera that is shown says: whether it works, and when something came. */
import { serverNow } from "./clock";

/** How often data is asked for that events announce, in case one was missed. */
const CALM_MS = 15_000;

export class LiveCamera {
  /** Whether events arrive; else everything is polled. */
  open = false;
  private footageMs = 0;
  private detectionsMs = 0;

  noteFootage(): void {
    this.footageMs = serverNow();
  }

  noteDetections(): void {
    this.detectionsMs = serverNow();
  }

  /** Whether data of `askedMs` that shows detections should be asked for again. */
  detectionsDue(askedMs: number, everyMs: number): boolean {
    return this.due(askedMs, everyMs, this.detectionsMs);
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
