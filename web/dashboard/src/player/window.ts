/** Which time range a player requests at once. Pure. */

export interface PlayWindow {
  readonly fromMs: number;
  /** null: live, the playlist grows. */
  readonly toMs: number | null;
}

const BEFORE_MS = 2 * 60_000;
const AFTER_MS = 10 * 60_000;
const MOST_AFTER_MS = 60 * 60_000;
const LIVE_BEFORE_MS = 60_000;

/** A range around `atMs`, longer ahead for faster playback. */
export function windowAround(atMs: number, rate: number): PlayWindow {
  const after = Math.min(MOST_AFTER_MS, AFTER_MS * Math.max(1, rate / 2));
  return { fromMs: Math.floor(atMs - BEFORE_MS), toMs: Math.ceil(atMs + after) };
}

export function liveWindow(nowMs: number): PlayWindow {
  return { fromMs: Math.floor(nowMs - LIVE_BEFORE_MS), toMs: null };
}

/** Whether a live playlist that is loaded now has this time, with some seconds to spare. */
export function isInLiveWindow(wallMs: number, nowMs: number): boolean {
  return wallMs >= nowMs - LIVE_BEFORE_MS + 5000;
}

/** Speeds a person can choose. */
export const RATES: readonly number[] = [0.25, 0.5, 1, 1.5, 2, 4, 8, 16];

export function nextRate(rate: number, step: 1 | -1): number {
  const at = RATES.findIndex((choice) => choice >= rate);
  const from = at === -1 ? RATES.length - 1 : at;
  return RATES[Math.min(RATES.length - 1, Math.max(0, from + step))] ?? 1;
}
