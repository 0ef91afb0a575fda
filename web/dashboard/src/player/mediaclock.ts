/** Between the film's own seconds and the wall time at which it was recorded. Pure. */

/** One piece of the playlist that is loaded. */
export interface Piece {
  readonly mediaStartS: number;
  readonly durationS: number;
  readonly wallStartMs: number;
}

/** A moment may miss its piece by this much, from rounding of durations. */
const SLACK_S = 0.15;

/** Wall time of a moment of the film; null when no piece is near it. */
export function wallOf(pieces: readonly Piece[], mediaS: number): number | null {
  const piece = pieces[indexByMedia(pieces, mediaS)] ?? pieces[0];
  if (!piece) return null;
  const into = mediaS - piece.mediaStartS;
  if (into < -SLACK_S || into > piece.durationS + SLACK_S) return null;
  return piece.wallStartMs + into * 1000;
}

/** Moment of the film recorded at a wall time; null when it is not among the pieces. */
export function mediaOf(pieces: readonly Piece[], wallMs: number): number | null {
  for (const piece of pieces) {
    const into = (wallMs - piece.wallStartMs) / 1000;
    if (into >= 0 && into < piece.durationS) return piece.mediaStartS + into;
  }
  return null;
}

/** Like `mediaOf`, but a moment between two pieces becomes the start of the later one. */
export function mediaAtOrAfter(pieces: readonly Piece[], wallMs: number): number | null {
  const exact = mediaOf(pieces, wallMs);
  if (exact !== null) return exact;
  let next: Piece | null = null;
  for (const piece of pieces) {
    if (piece.wallStartMs < wallMs) continue;
    if (!next || piece.wallStartMs < next.wallStartMs) next = piece;
  }
  return next ? next.mediaStartS : null;
}

/** Last wall time that the pieces reach. */
export function wallEnd(pieces: readonly Piece[]): number | null {
  const last = pieces[pieces.length - 1];
  return last ? last.wallStartMs + last.durationS * 1000 : null;
}

function indexByMedia(pieces: readonly Piece[], mediaS: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    // A touch of slack: the first frame of a piece may be stamped a hair before it.
    if ((pieces[middle]?.mediaStartS ?? 0) <= mediaS + 0.001) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
