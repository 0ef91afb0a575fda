/** Which boxes of two neighbouring samples are the same thing, where that is safe to say. Pure. */
import type { Box } from "../api/names";
import type { Detection } from "../api/types";

/** How far (in its own heights a second) a thing may have moved: known by its track, or by nearness. */
const TRACKED_SPEED = 4;
const UNTRACKED_SPEED = 1.2;
/** Over a longer time, nearness says nothing about who is who. */
const UNTRACKED_MS = 1600;
/**
 * The next best partner must be this many times further away, or the match is left alone: little
 * after a second, more with each second. On the demo's street nine of ten boxes then stay on their
 * people half-way between samples a second apart, as they do a second and a half apart.
 */
const CLEARLY = 1.3;
const CLEARLY_PER_S = 2.4;
/** Boxes jitter: this far (in heights) counts as not moving. */
const JITTER = 0.25;
const MOST_GROWTH = 1.7;
/** Fractions are of a picture about this much wider than high. */
const USUAL_ASPECT = 1.6;

/** Pairs (of `before`, of `after`) that are the same thing, `elapsedMs` apart. */
export function link(
  before: readonly Detection[],
  after: readonly Detection[],
  elapsedMs: number,
): Map<Detection, Detection> {
  const links = new Map<Detection, Detection>();
  const clearly = CLEARLY + CLEARLY_PER_S * Math.max(0, elapsedMs / 1000 - 1);
  for (const one of before) {
    if (one.track === null && elapsedMs > UNTRACKED_MS) continue;
    const other = one.track === null ? clearPartner(one, after, clearly) : sameTrack(one, after);
    if (!other || !isLike(one.box, other.box)) continue;
    const reach = (one.track === null ? UNTRACKED_SPEED : TRACKED_SPEED) * (elapsedMs / 1000);
    if (distance(one.box, other.box) > Math.max(JITTER, reach)) continue;
    // Without a track both must choose each other, each without a rival.
    if (one.track === null && clearPartner(other, before, clearly) !== one) continue;
    links.set(one, other);
  }
  return links;
}

function sameTrack(one: Detection, others: readonly Detection[]): Detection | undefined {
  return others.find(({ track, label }) => track === one.track && label === one.label);
}

function clearPartner(
  one: Detection,
  others: readonly Detection[],
  clearly: number,
): Detection | undefined {
  let best: Detection | undefined;
  let nearest = Number.POSITIVE_INFINITY;
  let second = Number.POSITIVE_INFINITY;
  for (const other of others) {
    if (other.label !== one.label || other.track !== null) continue;
    const away = distance(one.box, other.box);
    if (away < nearest) {
      second = nearest;
      nearest = away;
      best = other;
    } else if (away < second) second = away;
  }
  return second >= Math.max(nearest, JITTER) * clearly ? best : undefined;
}

/** Between the middles of two boxes, in heights of the boxes. */
function distance(a: Box, b: Box): number {
  const x = (a[0] + a[2] / 2 - b[0] - b[2] / 2) * USUAL_ASPECT;
  const y = a[1] + a[3] / 2 - b[1] - b[3] / 2;
  return Math.hypot(x, y) / Math.max(0.001, (a[3] + b[3]) / 2);
}

function isLike(a: Box, b: Box): boolean {
  const growth = b[3] / Math.max(0.001, a[3]);
  return growth < MOST_GROWTH && growth > 1 / MOST_GROWTH;
}
