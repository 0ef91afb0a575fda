/** Which time range a timeline shows, and how it zooms and pans. Pure. */

export interface View {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The limits of a view. */
export interface Bounds {
  readonly minMs: number;
  readonly maxMs: number;
}

export const SHORTEST_MS = 1000;
export const LONGEST_MS = 31 * 24 * 3_600_000;

export function spanOf(view: View): number {
  return view.toMs - view.fromMs;
}

export function xOf(view: View, width: number, ms: number): number {
  return ((ms - view.fromMs) / spanOf(view)) * width;
}

export function msOf(view: View, width: number, x: number): number {
  return view.fromMs + (x / width) * spanOf(view);
}

/** The same span, moved so that it lies within the bounds; newest time wins when both ends stick out. */
export function clamp(view: View, bounds: Bounds): View {
  const span = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, spanOf(view)));
  let fromMs = view.fromMs;
  if (fromMs < bounds.minMs) fromMs = bounds.minMs;
  if (fromMs + span > bounds.maxMs) fromMs = bounds.maxMs - span;
  return { fromMs, toMs: fromMs + span };
}

/** Zooms so that `atMs` stays under the cursor; a factor above 1 shows less time. */
export function zoom(view: View, factor: number, atMs: number, bounds: Bounds): View {
  const span = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, spanOf(view) / factor));
  const share = (atMs - view.fromMs) / spanOf(view);
  const fromMs = atMs - share * span;
  return clamp({ fromMs, toMs: fromMs + span }, bounds);
}

export function pan(view: View, byMs: number, bounds: Bounds): View {
  return clamp({ fromMs: view.fromMs + byMs, toMs: view.toMs + byMs }, bounds);
}

/** A view of `spanMs` with `atMs` at `share` of its width. */
export function around(atMs: number, spanMs: number, bounds: Bounds, share = 0.5): View {
  const fromMs = atMs - spanMs * share;
  return clamp({ fromMs, toMs: fromMs + spanMs }, bounds);
}

/** The view after the playhead moved on: turned like a page only when the playhead has left it. */
export function follow(view: View, previousMs: number, atMs: number, bounds: Bounds): View {
  const wasIn = previousMs >= view.fromMs && previousMs <= view.toMs;
  const isIn = atMs >= view.fromMs && atMs <= view.toMs;
  if (!wasIn || isIn) return view;
  return around(atMs, spanOf(view), bounds, atMs > view.toMs ? 0.25 : 0.75);
}

const SECOND = 1000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

const TICK_STEPS = [
  100,
  200,
  500,
  SECOND,
  2 * SECOND,
  5 * SECOND,
  10 * SECOND,
  15 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
];

export function tickStep(view: View, width: number, leastPx: number): number {
  const least = (spanOf(view) / Math.max(1, width)) * leastPx;
  return TICK_STEPS.find((step) => step >= least) ?? 7 * DAY;
}

/** Moments to mark, on round local times of a zone that is `offsetMs` ahead of UTC. */
export function ticks(view: View, stepMs: number, offsetMs: number): number[] {
  const marks: number[] = [];
  let mark = Math.ceil((view.fromMs + offsetMs) / stepMs) * stepMs - offsetMs;
  for (; mark <= view.toMs && marks.length < 500; mark += stepMs) marks.push(mark);
  return marks;
}

const BUCKET_STEPS = [
  100,
  250,
  500,
  SECOND,
  2 * SECOND,
  5 * SECOND,
  10 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
];

/** How fine the data should be that a view is drawn from: about `px` pixels for each bucket. */
export function bucketFor(view: View, width: number, px = 3): number {
  const wanted = (spanOf(view) / Math.max(1, width)) * px;
  return BUCKET_STEPS.find((step) => step >= wanted) ?? HOUR;
}

export const BUCKET_LADDER: readonly number[] = BUCKET_STEPS;
