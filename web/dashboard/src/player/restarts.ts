/** Bounds how often playback starts again at one place. Pure. */

/** So many starts may fail, one after the other. */
const MOST = 3;

export class Restarts {
  private count = 0;
  private atMs: number | null = null;

  /** Whether one more start is allowed, after playback stopped at `atMs` (null: not known). */
  allow(atMs: number | null): boolean {
    this.count++;
    if (atMs !== null) this.atMs = atMs;
    return this.count <= MOST;
  }

  /** A frame is on the screen. One at or after the place means that the start succeeded. */
  shown(wallMs: number): void {
    if (this.count > 0 && (this.atMs === null || wallMs >= this.atMs)) this.reset();
  }

  /** A person chose where to play. */
  reset(): void {
    this.count = 0;
    this.atMs = null;
  }
}
