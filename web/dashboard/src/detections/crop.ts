/** Which part of a picture to show so that a thing found in it can be recognised. Pure. */
import type { Box } from "../api/names";
import type { Detection } from "../api/types";

/** How much room is left round the thing, and how far a small one is enlarged at most. */
const ROOM = 1.5;
const LEAST_HEIGHT = 0.28;

/**
 * The part (as fractions) of a picture of shape `aspect` that shows `box` with some room round it,
 * in the shape `shownAspect`.
 */
export function cropAround(box: Box, aspect: number, shownAspect: number): Box {
  const [left, top, width, height] = box;
  // A part as wide as the picture is `aspect` times as wide as one of the same fraction is high.
  const perHeight = shownAspect / aspect;
  let high = Math.max(height * ROOM, (width * ROOM) / perHeight, LEAST_HEIGHT);
  high = Math.min(high, 1, 1 / perHeight);
  const wide = high * perHeight;
  const within = (wish: number, size: number): number => Math.max(0, Math.min(1 - size, wish));
  return [
    within(left + width / 2 - wide / 2, wide),
    within(top + height / 2 - high / 2, high),
    wide,
    high,
  ];
}

/** The detection that shows a label best in the picture of `atMs`: near in time, sure and large. */
export function clearest(
  detections: readonly Detection[],
  label: string,
  atMs: number,
  withinMs: number,
): Detection | null {
  let best: Detection | null = null;
  let most = 0;
  for (const detection of detections) {
    const away = Math.abs(detection.at_ms - atMs);
    if (detection.label !== label || away > withinMs) continue;
    const [, , width, height] = detection.box;
    // Things move: a box of another moment is worth less the further away it is.
    const worth = (detection.score * Math.sqrt(width * height)) / (1 + away / 200);
    if (worth > most) {
      best = detection;
      most = worth;
    }
  }
  return best;
}
