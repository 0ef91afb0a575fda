/** Keeps playback at the newest picture: faster, or by a jump; with a reserve against jitter. Pure. */

/** What to do with the playback now. */
export interface Step {
  readonly rate: number;
  /** Media time to jump to; null: play on. */
  readonly seekS: number | null;
}

const LEAST_RESERVE_S = 0.1;
const MOST_RESERVE_S = 1.2;
/** After each stall the reserve grows by this; it shrinks by as much in the steady time. */
const RESERVE_STEP_S = 0.15;
const STEADY_MS = 20_000;
/** Further behind than this, catching up takes too long. */
const JUMP_S = 2;
const CATCH_UP_RATE = 1.1;
const SLACK_S = 0.15;
/** Playback that is ahead of new pictures by more shows none of them. */
const MOST_EARLY_S = 0.25;

export class LiveEdge {
  private reserveS = LEAST_RESERVE_S;
  private changedMs = 0;
  private catchesUp = false;

  /** Playback waited for a picture. */
  stalled(nowMs: number): void {
    this.reserveS = Math.min(MOST_RESERVE_S, this.reserveS + RESERVE_STEP_S);
    this.changedMs = nowMs;
  }

  /**
   * `newestS`: media time of the newest picture. `startS`: where the buffer with it begins.
   * `isFresh`: it came just now. Only then may the playback be ahead of it: no picture is lost.
   */
  step(atS: number, startS: number, newestS: number, nowMs: number, isFresh: boolean): Step {
    if (nowMs - this.changedMs > STEADY_MS && this.reserveS > LEAST_RESERVE_S) {
      this.reserveS = Math.max(LEAST_RESERVE_S, this.reserveS - RESERVE_STEP_S);
      this.changedMs = nowMs;
    }
    const aheadS = newestS - atS;
    const isOutside = atS < startS || (isFresh && aheadS < -MOST_EARLY_S);
    if (isOutside || aheadS > this.reserveS + JUMP_S) {
      this.catchesUp = false;
      return { rate: 1, seekS: Math.max(startS, newestS - this.reserveS) };
    }
    if (aheadS > this.reserveS + SLACK_S) this.catchesUp = true;
    else if (aheadS <= this.reserveS) this.catchesUp = false;
    return { rate: this.catchesUp ? CATCH_UP_RATE : 1, seekS: null };
  }
}
