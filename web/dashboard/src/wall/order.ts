/** Which cameras a wall shows, and in which order. Pure. */
import type { Camera } from "../api/types";
import { STATE_ORDER, STATE_TEXT } from "../ui/text";

/** Problems first, then by site and name, so that nothing changes place without a reason. */
export function arrange(cameras: readonly Camera[]): Camera[] {
  return [...cameras].sort(
    (a, b) =>
      STATE_ORDER[a.state] - STATE_ORDER[b.state] ||
      a.tenant.localeCompare(b.tenant) ||
      a.site.localeCompare(b.site) ||
      a.name.localeCompare(b.name, undefined, { numeric: true }) ||
      a.id.localeCompare(b.id),
  );
}

/** Every word of the filter must be found in the name, id, state or recent labels. */
export function matches(camera: Camera, filter: string): boolean {
  const text = [
    camera.name,
    camera.id,
    STATE_TEXT[camera.state],
    ...camera.labels_recent.map(({ label }) => label),
  ]
    .join(" ")
    .toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** The aspect ratio that most cameras have, so that most tiles need no border. */
export function commonAspect(cameras: readonly Camera[]): number {
  const counts = new Map<number, number>();
  let best = 16 / 9;
  let most = 0;
  for (const { width, height } of cameras) {
    if (!width || !height) continue;
    const aspect = Math.min(2, Math.max(1, Math.round((width / height) * 1000) / 1000));
    const count = (counts.get(aspect) ?? 0) + 1;
    counts.set(aspect, count);
    if (count > most) {
      most = count;
      best = aspect;
    }
  }
  return best;
}

/** How many cameras are late or offline. */
export function problemCount(cameras: readonly Camera[]): number {
  return cameras.filter(({ state }) => state === "offline" || state === "late").length;
}
