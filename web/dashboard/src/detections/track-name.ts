/** A track's short name, the same wherever it is shown. Pure. */

const SHORT = 4;
const NAMES = 1000;

/** Trackers' ids are long. Three digits from its hash are enough to distinguish tracks in a frame. */
export function trackName(track: string | number): string {
  const text = String(track);
  if (text.length <= SHORT) return text;
  // FNV-1a: neighbours such as e01ef7-0 and e01ef7-1 get unlike numbers.
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return String(hash % NAMES).padStart(3, "0");
}
