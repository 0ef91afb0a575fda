/** Bounds how many pictures play at once: those that ask first, then those that wait. Pure. */

export class LiveSlots {
  private readonly playing = new Set<() => void>();
  private readonly waiting = new Set<() => void>();

  constructor(private readonly most: number) {}

  /** Calls `grant` when a picture may play, now or later; returns what gives its place back. */
  ask(grant: () => void): () => void {
    const own = (): void => grant();
    this.waiting.add(own);
    this.next();
    return () => {
      this.waiting.delete(own);
      if (this.playing.delete(own)) this.next();
    };
  }

  private next(): void {
    for (const grant of this.waiting) {
      if (this.playing.size >= this.most) return;
      this.waiting.delete(grant);
      this.playing.add(grant);
      grant();
    }
  }
}
