/** Which boxes belong on the frame shown at a moment, when only some frames were analysed. */
import type { Box } from "../api/names";
import type { Detection } from "../api/types";
import { link } from "./link";

/** All detections in one analysed frame. */
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
const LONGEST_INTERVAL_MS = 3000;
const DEFAULT_INTERVAL_MS = 500;
/** A box without movement is never shown longer than this: people walk away. */
const LONGEST_HOLD_MS = 300;

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

/**
 * The boxes to draw on the frame at `atMs`.
 *
 * What is surely the same object in two neighbouring samples moves in a straight line between them.
 * An object with a track does so too where samples in between have missed it. Everything else stays
 * where it was detected, near its own sample, for at most one interval.
 */
export function boxesAt(samples: readonly Sample[], intervalMs: number, atMs: number): Shown[] {
  const index = indexAt(samples, atMs + SAME_FRAME_MS);
  const before = samples[index];
  const after = samples[index + 1];
  const sinceMs = before ? atMs - before.atMs : Number.POSITIVE_INFINITY;
  const untilMs = after ? after.atMs - atMs : Number.POSITIVE_INFINITY;
  const elapsedMs = sinceMs + untilMs;
  const reachMs = Math.min(LONGEST_INTERVAL_MS, intervalMs * 1.6);
  const shown: Shown[] = [];
  const onTrack = new Set<Detection["track"]>();
  for (const [seen, next] of trackedAround(samples, index, atMs)) {
    onTrack.add(seen.track);
    const passed = (atMs - seen.at_ms) / (next.at_ms - seen.at_ms);
    const part = Math.min(1, Math.max(0, passed));
    shown.push({ ...still(part < 0.5 ? seen : next), box: mix(seen.box, next.box, part) });
  }
  const rest = (found: readonly Detection[]) => found.filter(({ track }) => !onTrack.has(track));
  const links =
    before && after && elapsedMs <= reachMs
      ? link(rest(before.found), rest(after.found), elapsedMs)
      : new Map<Detection, Detection>();
  const share = Math.min(1, Math.max(0, sinceMs / elapsedMs));
  for (const [seen, next] of links) {
    shown.push({ ...still(share < 0.5 ? seen : next), box: mix(seen.box, next.box, share) });
  }
  const halfMs = Math.min(intervalMs / 2, LONGEST_HOLD_MS);
  const isLast = elapsedMs > reachMs;
  const holdMs = isLast ? Math.min(intervalMs, LONGEST_HOLD_MS) : halfMs;
  if (before && sinceMs <= holdMs && (isLast || sinceMs < untilMs)) {
    for (const seen of rest(before.found)) if (!links.has(seen)) shown.push(still(seen));
  } else if (after && untilMs <= halfMs) {
    const linked = new Set(links.values());
    for (const coming of rest(after.found)) if (!linked.has(coming)) shown.push(still(coming));
  }
  return shown;
}

/** Pairs of one track's detections before and after a time, at most the longest interval apart. */
function trackedAround(
  samples: readonly Sample[],
  index: number,
  atMs: number,
): [Detection, Detection][] {
  const pairs: [Detection, Detection][] = [];
  const known = new Set<Detection["track"]>([null]);
  for (let i = index; i >= 0; i--) {
    const earlier = samples[i];
    if (!earlier || atMs - earlier.atMs > LONGEST_INTERVAL_MS) break;
    for (const seen of earlier.found) {
      if (known.has(seen.track)) continue;
      known.add(seen.track);
      const next = nextOfTrack(samples, index + 1, seen);
      if (next && link([seen], [next], next.at_ms - seen.at_ms).size > 0) pairs.push([seen, next]);
    }
  }
  return pairs;
}

function nextOfTrack(
  samples: readonly Sample[],
  from: number,
  seen: Detection,
): Detection | undefined {
  for (let i = from; i < samples.length; i++) {
    const later = samples[i];
    if (!later || later.atMs - seen.at_ms > LONGEST_INTERVAL_MS) return undefined;
    const next = later.found.find(({ track }) => track === seen.track);
    if (next) return next;
  }
  return undefined;
}

function still(detection: Detection): Shown {
  const { label, score, track, box } = detection;
  return { label, score, track, box };
}

function mix(a: Box, b: Box, share: number): Box {
  const at = (i: 0 | 1 | 2 | 3): number => a[i] + (b[i] - a[i]) * share;
  return [at(0), at(1), at(2), at(3)];
}
