/** Times and durations as text. A time is never shown without its zone. */

export interface Zone {
  /** IANA name that Intl understands. */
  readonly name: string;
}

export const UTC: Zone = { name: "UTC" };

export function localZone(): Zone {
  return { name: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" };
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: Zone, key: string, options: Intl.DateTimeFormatOptions) {
  const id = `${zone.name} ${key}`;
  let found = formatters.get(id);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", {
      ...options,
      timeZone: zone.name,
      hourCycle: "h23",
    });
    formatters.set(id, found);
  }
  return found;
}

/** 14:03:22 */
export function clockTime(ms: number, zone: Zone): string {
  return formatter(zone, "hms", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).format(ms);
}

/** 14:03 */
export function hourMinute(ms: number, zone: Zone): string {
  return formatter(zone, "hm", { hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** 14:03:22.4 */
export function preciseTime(ms: number, zone: Zone): string {
  const tenths = Math.floor((((ms % 1000) + 1000) % 1000) / 100);
  return `${clockTime(ms, zone)}.${tenths}`;
}

/** Sun 22 Nov */
export function shortDate(ms: number, zone: Zone): string {
  return formatter(zone, "date", { weekday: "short", day: "numeric", month: "short" })
    .format(ms)
    .replace(",", "");
}

/** CET, UTC or GMT+5:30: the zone's short name at that time. */
export function zoneLabel(ms: number, zone: Zone): string {
  const parts = formatter(zone, "zone", { timeZoneName: "short" }).formatToParts(ms);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? zone.name;
}

/** Minutes that the zone is ahead of UTC at that time. */
export function zoneOffsetMinutes(ms: number, zone: Zone): number {
  const parts = formatter(zone, "all", {
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(ms);
  const part = (type: string): number => Number(parts.find((p) => p.type === type)?.value ?? 0);
  const there = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return Math.round((there - Math.floor(ms / 1000) * 1000) / 60_000);
}

/** The value of a date-and-time field (2026-11-22T14:03:22) for a time in a zone. */
export function fieldValue(ms: number, zone: Zone): string {
  const shifted = ms + zoneOffsetMinutes(ms, zone) * 60_000;
  return new Date(shifted).toISOString().slice(0, 19);
}

/** The time of a date-and-time field in a zone; null when it has none. */
export function fieldMoment(value: string, zone: Zone): number | null {
  const asUtc = Date.parse(`${value}Z`);
  if (Number.isNaN(asUtc)) return null;
  const guess = asUtc - zoneOffsetMinutes(asUtc, zone) * 60_000;
  return asUtc - zoneOffsetMinutes(guess, zone) * 60_000;
}

/** 4 s, 3 min, 2 h 5 min, 3 days: a duration, rounded. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}\u00a0s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10 && seconds % 60 !== 0) return `${minutes}\u00a0min ${seconds % 60}\u00a0s`;
  if (minutes < 60) return `${minutes}\u00a0min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 10 && minutes % 60 !== 0) return `${hours}\u00a0h ${minutes % 60}\u00a0min`;
  if (hours < 48) return `${hours}\u00a0h`;
  return `${Math.floor(hours / 24)}\u00a0days`;
}

/** Coarser than `span`: 4 s, 3 min, 2 h, 3 days. */
export function roughSpan(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}\u00a0s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u00a0min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}\u00a0h`;
  return `${Math.floor(seconds / 86_400)}\u00a0days`;
}

/** 5.1 MiB */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size.toFixed(size < 10 && unit > 0 ? 1 : 0)}\u00a0${units[unit]}`;
}
