/** What edge devices say, judged: is a site well, and why does a camera bring nothing? Pure. */
import type { Camera, CameraStatus, Edge } from "../api/types";
import { roughSpan } from "../format";

/** A device says something every few seconds; after this it counts as silent. */
export const SILENT_MS = 90_000;
/** Footage that waits longer on the device is late. */
const LATE_MS = 120_000;
const LITTLE_FREE = 1 << 30;

export interface Trouble {
  readonly grave: boolean;
  readonly words: string;
}

export function isSilent(edge: Edge, nowMs: number): boolean {
  return nowMs - edge.heard_ms > SILENT_MS;
}

/** Whether the last that it said was that it ends. */
function wasStopped({ cameras }: Edge): boolean {
  return cameras.length > 0 && cameras.every(({ state }) => state === "stopped");
}

/** How long the oldest fragment that waits on the device has waited, when it was last heard. */
export function waitingMs(edge: Edge): number {
  return edge.spool_oldest_ms === null ? 0 : Math.max(0, edge.heard_ms - edge.spool_oldest_ms);
}

/** The cameras that their device does not record. */
export function notRecorded(edge: Edge): CameraStatus[] {
  return edge.cameras.filter(({ state }) => state !== "recording");
}

/** What needs a look, gravest first; empty where all is well. */
export function troublesOf(edge: Edge, nowMs: number): Trouble[] {
  const found: Trouble[] = [];
  if (isSilent(edge, nowMs)) {
    const since = roughSpan(nowMs - edge.heard_ms);
    const words = wasStopped(edge)
      ? `Its program was stopped ${since} ago: start it again where that was not meant.`
      : `Not heard for ${since}: check its power, its network and the VPN. It may be recording by itself.`;
    return [{ grave: true, words }]; // all else that it said is old
  }
  const failing = notRecorded(edge).length;
  if (failing > 0) {
    const cameras = failing === 1 ? "1 camera is" : `${failing} cameras are`;
    found.push({ grave: true, words: `${cameras} not recorded.` });
  }
  if (edge.disk_free_bytes < LITTLE_FREE) {
    found.push({ grave: true, words: "Its disk is nearly full." });
  }
  if (waitingMs(edge) > LATE_MS) {
    found.push({
      grave: false,
      words: `Footage waits on it for ${roughSpan(waitingMs(edge))}: its uplink is down or too narrow.`,
    });
  }
  if (edge.clock_state === "unsynchronised") {
    const words = "Nobody keeps its clock, so times may be wrong: let NTP reach it.";
    found.push({ grave: false, words });
  }
  const configuration = configurationTrouble(edge);
  if (configuration) found.push({ grave: false, words: configuration });
  return found;
}

function configurationTrouble({ config_state: state, config_detail: detail }: Edge): string | null {
  if (state === null || state === "current" || state === "trying") return null;
  const words = {
    refused: "It refuses the newest configuration",
    "out-of-reach": "It cannot fetch its configuration",
    none: "No configuration was set for it",
  }[state];
  return detail ? `${words}: ${detail}` : `${words}.`;
}

/** Why a camera's footage is missing or late, as its device tells; null where nobody knows. */
export function whyOf(camera: Camera, edges: readonly Edge[], nowMs: number): string | null {
  if (camera.state === "recording") return null;
  const edge = edges.find(({ cameras }) => cameras.some((one) => one.camera === camera.id));
  const status = edge?.cameras.find((one) => one.camera === camera.id);
  if (!edge || !status) return null;
  if (isSilent(edge, nowMs)) {
    return wasStopped(edge)
      ? `${edge.edge} was stopped`
      : `${edge.edge} is not heard: it may be recording by itself`;
  }
  if (status.state === "recording") return "Recorded; waits on the device to be uploaded";
  if (status.detail) return status.detail;
  return status.state === "connecting" ? "The device is connecting to it" : null;
}
