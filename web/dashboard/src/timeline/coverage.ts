/** Where playback continues when the requested time was not recorded. Pure. */
import type { Gap } from "../api/types";

export interface Landing {
  /** Where playing really starts. */
  readonly atMs: number;
  /** The skipped gap; null when the requested time is recorded. */
  readonly skipped: Gap | null;
}

/** The first recorded time at or after `targetMs`; null when nothing follows. */
export function land(
  targetMs: number,
  covered: readonly (readonly [number, number])[],
  gaps: readonly Gap[],
): Landing | null {
  let next: number | null = null;
  for (const [fromMs, toMs] of covered) {
    if (targetMs >= fromMs && targetMs < toMs) return { atMs: targetMs, skipped: null };
    if (fromMs > targetMs && (next === null || fromMs < next)) next = fromMs;
  }
  if (next === null) return null;
  return {
    atMs: next,
    skipped: { from_ms: targetMs, to_ms: next, reason: reasonAt(gaps, targetMs, next) },
  };
}

/** Why there is no footage between two times: the reason of the gap that covers most of it. */
export function reasonAt(gaps: readonly Gap[], fromMs: number, toMs: number): string {
  let reason = "";
  let most = 0;
  for (const gap of gaps) {
    const shared = Math.min(toMs, gap.to_ms) - Math.max(fromMs, gap.from_ms);
    if (shared > most) {
      most = shared;
      reason = gap.reason;
    }
  }
  return reason;
}

/** Time that playback jumped over: wall time moved further than media time. */
export function jumped(
  before: { readonly wallMs: number; readonly mediaS: number },
  now: { readonly wallMs: number; readonly mediaS: number },
  toleranceMs = 700,
): { fromMs: number; toMs: number } | null {
  const mediaMs = (now.mediaS - before.mediaS) * 1000;
  if (mediaMs < 0) return null;
  const extra = now.wallMs - before.wallMs - mediaMs;
  if (extra <= toleranceMs) return null;
  return { fromMs: now.wallMs - extra, toMs: now.wallMs };
}
