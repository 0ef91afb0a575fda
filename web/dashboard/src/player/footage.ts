/** Finds footage with the timeline API. */
import { getTimeline } from "../api/client";
import { type Landing, land, reasonAt } from "../timeline/coverage";

const HOUR_MS = 3_600_000;
/** Searched one after the other, so that the usual case is a small request. */
const REACHES_MS = [HOUR_MS, 24 * HOUR_MS, 30 * 24 * HOUR_MS];

/** The first footage at or after `targetMs`, with the gap before it; null when there is none. */
export async function findFootage(
  cameraId: string,
  targetMs: number,
  nowMs: number,
): Promise<Landing | null> {
  const wish = Math.floor(targetMs);
  for (const reach of REACHES_MS) {
    const answer = await getTimeline(cameraId, wish, wish + reach, 1);
    const landing = land(wish, answer.covered, answer.gaps);
    if (landing) return landing;
    if (wish + reach >= nowMs) break;
  }
  return null;
}

/** Why nothing was recorded between two moments; empty when it is not known. */
export async function gapReason(cameraId: string, fromMs: number, toMs: number): Promise<string> {
  try {
    const answer = await getTimeline(cameraId, Math.floor(fromMs), Math.ceil(toMs), 1);
    return reasonAt(answer.gaps, fromMs, toMs);
  } catch {
    return "";
  }
}
