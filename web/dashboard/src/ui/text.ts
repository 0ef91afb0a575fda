/** Texts of states, reasons and labels. */
import type { CameraState } from "../api/names";

export const STATE_TEXT: Record<CameraState, string> = {
  recording: "Recording",
  late: "Late",
  offline: "Offline",
  new: "New",
};

/** Problems first. */
export const STATE_ORDER: Record<CameraState, number> = {
  offline: 0,
  late: 1,
  new: 2,
  recording: 3,
};

/** A gap's reason as the API sends it -> as readable text. */
export function reasonText(reason: string): string {
  const text = reason.replaceAll(/[_-]+/g, " ").trim();
  return text || "reason unknown";
}

/** `1 person`, `3 people`, `2 cars`. */
export function countText(label: string, count: number): string {
  if (count === 1) return `1 ${label}`;
  if (label === "person") return `${count} people`;
  return /(s|x|ch|sh)$/.test(label) ? `${count} ${label}es` : `${count} ${label}s`;
}
