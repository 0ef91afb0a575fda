/** Converts between media time (seconds in the video element) and wall time. Pure. */

/** One segment of the loaded playlist. */
export interface Segment {
  readonly mediaStartS: number;
  readonly durationS: number;
  readonly wallStartMs: number;
  /** Its address and offset: the same in another answer for the list. */
  readonly key?: string | undefined;
}

/** Where to start in a list. */
export interface Start {
  readonly wallMs: number;
  /** The segment, if it is known. Its time is not enough where a clock was set back. */
  readonly key?: string | undefined;
}

/** A time may be outside its segment by this much, because durations are rounded. */
const SLACK_S = 0.15;

/** Wall time of a media time; null when no segment is near it. */
export function wallOf(segments: readonly Segment[], mediaS: number): number | null {
  const segment = segments[indexByMedia(segments, mediaS)] ?? segments[0];
  if (!segment) return null;
  const into = mediaS - segment.mediaStartS;
  if (into < -SLACK_S || into > segment.durationS + SLACK_S) return null;
  return segment.wallStartMs + into * 1000;
}

/** Media time of a wall time; null when no segment contains it. */
export function mediaOf(segments: readonly Segment[], wallMs: number): number | null {
  for (const segment of segments) {
    const into = (wallMs - segment.wallStartMs) / 1000;
    if (into >= 0 && into < segment.durationS) return segment.mediaStartS + into;
  }
  return null;
}

/** Like `mediaOf`, but a moment between two segments becomes the start of the later one. */
export function mediaAtOrAfter(segments: readonly Segment[], wallMs: number): number | null {
  const exact = mediaOf(segments, wallMs);
  if (exact !== null) return exact;
  let next: Segment | null = null;
  for (const segment of segments) {
    if (segment.wallStartMs < wallMs) continue;
    if (!next || segment.wallStartMs < next.wallStartMs) next = segment;
  }
  return next ? next.mediaStartS : null;
}

/** Media time of the start; null when the list has nothing at or after it. */
export function mediaOfStart(segments: readonly Segment[], start: Start): number | null {
  const segment = start.key && segments.find(({ key }) => key === start.key);
  return segment ? segment.mediaStartS : mediaAtOrAfter(segments, start.wallMs);
}

/** The end of the last segment in wall time. */
export function wallEnd(segments: readonly Segment[]): number | null {
  const last = segments[segments.length - 1];
  return last ? last.wallStartMs + last.durationS * 1000 : null;
}

function indexByMedia(segments: readonly Segment[], mediaS: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    // Some tolerance: the first frame's time may be slightly before its segment.
    if ((segments[middle]?.mediaStartS ?? 0) <= mediaS + 0.001) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
