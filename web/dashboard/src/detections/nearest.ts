/** Which boxes belong on the frame shown at a moment, when only some frames were looked at. */
import type { Box, Detection } from "../api/types";

/** All that was found in one looked-at frame. */
export interface Sample {
  readonly atMs: number;
  readonly found: readonly Detection[];
}

export interface Shown {
  readonly label: string;
  readonly score: number;
  readonly track: string | number | null;
  readonly box: Box;
}

/** A frame's time may lie this far before its own sample's, from rounding on the way. */
const SAME_FRAME_MS = 40;
/** Samples further apart than this are never joined by movement, whatever the sampling rate. */
const LONGEST_INTERVAL_MS = 2000;
const DEFAULT_INTERVAL_MS = 500;
/** Boxes of one track that overlap less than this may be two things that were mixed up. */
const SAFE_OVERLAP = 0.25;

/** Detections in any order -> samples in order of time. */
export function toSamples(detections: readonly Detection[]): Sample[] {
  const byTime = new Map<number, Detection[]>();
  for (const detection of detections) {
    const sample = byTime.get(detection.at_ms);
    if (sample) sample.push(detection);
    else byTime.set(detection.at_ms, [detection]);
  }
  return [...byTime]
    .map(([atMs, found]) => ({ atMs, found }))
    .sort((one, other) => one.atMs - other.atMs);
}

/** The usual time between samples: the median of the distances. */
export function samplingInterval(samples: readonly Sample[]): number {
  const distances: number[] = [];
  for (let i = 1; i < samples.length; i++) {
    const distance = (samples[i]?.atMs ?? 0) - (samples[i - 1]?.atMs ?? 0);
    if (distance > 0 && distance <= LONGEST_INTERVAL_MS) distances.push(distance);
  }
  if (distances.length === 0) return DEFAULT_INTERVAL_MS;
  distances.sort((a, b) => a - b);
  return distances[Math.floor(distances.length / 2)] ?? DEFAULT_INTERVAL_MS;
}

/** Index of the newest sample that is not after `atMs`; -1 when there is none. */
export function indexAt(samples: readonly Sample[], atMs: number): number {
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((samples[middle]?.atMs ?? 0) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export function overlap(a: Box, b: Box): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}

/**
 * The boxes to draw on the frame at `atMs`.
 *
 * Between two neighbouring samples a track moves in a straight line when its boxes overlap enough
 * to be the same thing; all else stands still where it was seen, on the frames nearer to its own
 * sample than to the other. Beyond the last sample a box is held for at most one interval.
 */
export function boxesAt(samples: readonly Sample[], intervalMs: number, atMs: number): Shown[] {
  const index = indexAt(samples, atMs + SAME_FRAME_MS);
  const before = samples[index];
  const after = samples[index + 1];
  const reach = intervalMs * 1.6;
  if (before && after && after.atMs - before.atMs <= reach) return between(before, after, atMs);
  if (before && atMs - before.atMs <= intervalMs) return before.found.map(still);
  return [];
}

function between(before: Sample, after: Sample, atMs: number): Shown[] {
  const share = Math.min(1, Math.max(0, (atMs - before.atMs) / (after.atMs - before.atMs)));
  const shown: Shown[] = [];
  const moved = new Set<Detection>();
  for (const seen of before.found) {
    const next = after.found.find(
      (other) =>
        seen.track !== null &&
        other.track === seen.track &&
        other.label === seen.label &&
        overlap(seen.box, other.box) >= SAFE_OVERLAP,
    );
    if (next) {
      moved.add(next);
      shown.push({ ...still(share < 0.5 ? seen : next), box: mix(seen.box, next.box, share) });
    } else if (share < 0.5) {
      shown.push(still(seen));
    }
  }
  if (share >= 0.5) {
    for (const coming of after.found) if (!moved.has(coming)) shown.push(still(coming));
  }
  return shown;
}

function still(detection: Detection): Shown {
  const { label, score, track, box } = detection;
  return { label, score, track, box };
}

function mix(a: Box, b: Box, share: number): Box {
  const at = (i: 0 | 1 | 2 | 3): number => a[i] + (b[i] - a[i]) * share;
  return [at(0), at(1), at(2), at(3)];
}
