/** A track's name for people: short, and the same wherever and whenever it is shown. Pure. */

const SHORT = 4;
const NAMES = 1000;

/** Ids of trackers are long; three digits made of all of it tell apart what is in one picture. */
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
