/** Groups detections into sightings: one label, without a longer pause. */
import type { DetectionCount } from "../api/types";

export interface Sighting {
  readonly label: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** The time with the most objects: its frame is the picture. */
  readonly peakMs: number;
  /** Most of them in one picture. */
  readonly most: number;
}

export const PAUSE_MS = 10_000;
/** A sighting that never ends is split after this time; each part has its own picture. */
export const LONGEST_MS = 60_000;

interface Open {
  fromMs: number;
  toMs: number;
  peakMs: number;
  most: number;
}

/** The most in one picture for each bucket, in any order -> sightings, newest first. */
export function toSightings(counts: readonly DetectionCount[], bucketMs: number): Sighting[] {
  const byLabel = new Map<string, DetectionCount[]>();
  for (const count of counts) {
    if (count.count <= 0) continue;
    const list = byLabel.get(count.label);
    if (list) list.push(count);
    else byLabel.set(count.label, [count]);
  }
  const sightings: Sighting[] = [];
  for (const [label, list] of byLabel) {
    list.sort((a, b) => a.at_ms - b.at_ms);
    let open: Open | null = null;
    for (const { at_ms, count } of list) {
      const endMs = at_ms + bucketMs;
      if (open && at_ms - open.toMs <= PAUSE_MS && endMs - open.fromMs <= LONGEST_MS) {
        open.toMs = Math.max(open.toMs, endMs);
        if (count > open.most) {
          open.most = count;
          open.peakMs = middle(at_ms, bucketMs);
        }
        continue;
      }
      if (open) sightings.push({ label, ...open });
      open = { fromMs: at_ms, toMs: endMs, peakMs: middle(at_ms, bucketMs), most: count };
    }
    if (open) sightings.push({ label, ...open });
  }
  return sightings.sort((a, b) => b.fromMs - a.fromMs || a.label.localeCompare(b.label));
}

function middle(atMs: number, bucketMs: number): number {
  return atMs + Math.floor(bucketMs / 2);
}

/** The next sighting to begin after `atMs` (`step` 1), or the last to begin before it (`step` -1). */
export function neighbour(
  sightings: readonly Sighting[],
  atMs: number,
  step: 1 | -1,
  slackMs = 1500,
): Sighting | null {
  let best: Sighting | null = null;
  for (const sighting of sightings) {
    const { fromMs } = sighting;
    if (step === 1 ? fromMs <= atMs + slackMs : fromMs >= atMs - slackMs) continue;
    if (!best || (step === 1 ? fromMs < best.fromMs : fromMs > best.fromMs)) best = sighting;
  }
  return best;
}
