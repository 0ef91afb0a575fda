/** Cameras as the last answer listed them, with what events changed since. */
import type { Camera, CameraEvent, FootageEvent } from "./api/types";

interface Known {
  readonly atMs: number;
  readonly changes: Partial<Pick<Camera, "state" | "since_ms" | "last_ms" | "two_recorders">>;
}

export class CameraStates {
  private readonly known = new Map<string, Known>();

  /** Takes the states of an event; returns whether the list itself must be asked for again. */
  take({ now_ms, cameras }: CameraEvent, listed: readonly Camera[]): boolean {
    const shown = new Set(listed.map(({ id }) => id));
    let isOther = false;
    for (const { id, state, since_ms, last_ms, retired_ms, two_recorders } of cameras) {
      if (state === "removed" || retired_ms !== null) isOther ||= shown.has(id);
      else {
        isOther ||= !shown.has(id);
        this.known.set(id, { atMs: now_ms, changes: { state, since_ms, last_ms, two_recorders } });
      }
    }
    return isOther;
  }

  takeFootage({ now_ms, cameras }: FootageEvent): void {
    for (const { id, last_ms } of cameras) {
      const before = this.known.get(id)?.changes ?? {};
      this.known.set(id, { atMs: now_ms, changes: { ...before, last_ms } });
    }
  }

  /** The cameras with what is newer than their list. */
  applied(listed: readonly Camera[], listedMs: number): Camera[] {
    return listed.map((camera) => {
      const known = this.known.get(camera.id);
      return known && known.atMs > listedMs ? { ...camera, ...known.changes } : camera;
    });
  }
}
