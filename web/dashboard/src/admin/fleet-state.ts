/** The fleet in words: states of devices and rollouts, and how far each ring is. */
import type { Fleet, Rollout } from "../api/types";

export const RINGS = ["lab", "canary", "early", "rest"] as const;
export type Ring = Fleet["ring"];
export type Look = "recording" | "late" | "offline" | "new";

export const RING_TEXT: Record<Ring, string> = {
  lab: "Lab",
  canary: "Canary",
  early: "Early, 10\u00a0%",
  rest: "Rest",
};

const STATES: Record<NonNullable<Fleet["state"]>, readonly [Look, string]> = {
  pending: ["new", "Not begun"],
  waiting: ["new", "Waits"],
  downloading: ["late", "Downloads"],
  installing: ["late", "Installs"],
  checking: ["late", "Is checked"],
  succeeded: ["recording", "Updated"],
  returned: ["offline", "Returned"],
  failed: ["offline", "Failed"],
  refused: ["offline", "Refused"],
};

export const ROLLOUT_STATES: Record<Rollout["state"], readonly [Look, string]> = {
  running: ["recording", "Running"],
  paused: ["late", "Paused"],
  halted: ["offline", "Halted"],
  "rolling-back": ["late", "Rolling back"],
  finished: ["recording", "Finished"],
  "rolled-back": ["new", "Rolled back"],
  stopped: ["new", "Stopped"],
};

/** What a device's update is doing, and its appearance. A fault is shown before its state. */
export function stateOf(device: Fleet): readonly [Look, string] {
  if (device.fault !== null) return ["offline", "Has a fault"];
  if (device.reported_ms === null && device.behind !== null) return ["new", "No update agent"];
  if (device.state !== null) return STATES[device.state];
  return device.behind === null ? ["new", "No rollout"] : STATES.pending;
}

/** What is wrong with a device, or what it waits for; empty: nothing. */
export function detailOf({ fault, behind, reason }: Fleet): string {
  const text = fault ?? behind ?? reason ?? "";
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export interface RingProgress {
  readonly ring: Ring;
  readonly devices: number;
  readonly updated: number;
  readonly inProgress: number;
  readonly faults: number;
}

/** How far each ring with devices is. */
export function progressOf(devices: readonly Fleet[]): readonly RingProgress[] {
  return RINGS.map((ring) => {
    const own = devices.filter((device) => device.ring === ring);
    const kinds = own.map((device) => stateOf(device)[0]);
    return {
      ring,
      devices: own.length,
      updated: kinds.filter((kind) => kind === "recording").length,
      inProgress: kinds.filter((kind) => kind === "late").length,
      faults: kinds.filter((kind) => kind === "offline").length,
    };
  }).filter((each) => each.devices > 0);
}

/** Devices with a fault first, then those behind, then the others, each by name. */
export function ordered(devices: readonly Fleet[]): readonly Fleet[] {
  const rank = (device: Fleet): number =>
    stateOf(device)[0] === "offline" ? 0 : device.behind !== null ? 1 : 2;
  return [...devices].sort((a, b) => rank(a) - rank(b) || a.device.localeCompare(b.device));
}
