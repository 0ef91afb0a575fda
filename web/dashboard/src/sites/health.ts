/** Problems of edge devices, and why a camera's footage is missing, by the devices' reports. Pure. */
import type { Camera, CaptureStatus, Edge, Edges, Limits } from "../api/types";
import { roughSpan } from "../format";

export interface EdgeProblem {
  /** Footage is missing or will be soon. */
  readonly severe: boolean;
  /** What is wrong and what to do. */
  readonly text: string;
}

export function isSilent(edge: Edge, nowMs: number, limits: Limits): boolean {
  return nowMs - edge.heard_ms > limits.edge_silent_ms;
}

/** Whether its last report was that it stops. */
function wasStopped({ cameras }: Edge): boolean {
  return cameras.length > 0 && cameras.every(({ state }) => state === "stopped");
}

/** How long the oldest fragment on the device waited, at the time of the last heartbeat. */
export function waitingMs(edge: Edge): number {
  return edge.spool_oldest_ms === null ? 0 : Math.max(0, edge.heard_ms - edge.spool_oldest_ms);
}

/** The cameras that their device does not record. */
export function notRecorded(edge: Edge): CaptureStatus[] {
  return edge.cameras.filter(({ state }) => state !== "recording");
}

/** A device's problems, severe ones first; empty where there are none. */
export function problemsOf(edge: Edge, nowMs: number, limits: Limits): EdgeProblem[] {
  const found: EdgeProblem[] = [];
  if (isSilent(edge, nowMs, limits)) {
    const since = roughSpan(nowMs - edge.heard_ms);
    const text = wasStopped(edge)
      ? `Vigil was stopped on this device ${since} ago. Start it again.`
      : `No heartbeat for ${since}. Check power, network and VPN. It may still be recording.`;
    return [{ severe: true, text }]; // everything else in its report is old
  }
  const failing = notRecorded(edge).length;
  if (failing > 0) {
    const cameras = failing === 1 ? "1 camera is" : `${failing} cameras are`;
    found.push({ severe: true, text: `${cameras} not recording.` });
  }
  if (edge.disk_free_bytes < limits.disk_low_bytes) {
    found.push({ severe: true, text: "Disk nearly full. Free some space." });
  }
  if (waitingMs(edge) > limits.late_ms) {
    const text = `Footage has been waiting for upload for ${roughSpan(waitingMs(edge))}. Check the uplink.`;
    found.push({ severe: false, text });
  }
  const identity = identityProblem(edge, nowMs);
  if (identity) found.push(identity);
  if (edge.clock_trust === "wrong") {
    const text = "Clock differs from the cloud’s by more than 5 minutes. Allow NTP (UDP 123).";
    found.push({ severe: false, text });
  } else if (edge.clock_state === "unsynchronised") {
    found.push({ severe: false, text: "Clock not synchronised. Allow NTP (UDP 123)." });
  }
  const configuration = configurationProblem(edge);
  if (configuration) found.push({ severe: false, text: configuration });
  return found;
}

function identityProblem(edge: Edge, nowMs: number): EdgeProblem | null {
  const { identity_state: state, identity_renew_ms: renewMs, identity_expires_ms: endMs } = edge;
  if (state !== null && state !== "enrolled") {
    return { severe: true, text: `Its identity is ${state}: it records, and uploads nothing.` };
  }
  if (renewMs === null || endMs === null) return null;
  if (nowMs > endMs) return { severe: true, text: "Its certificate expired and is not renewed." };
  if (nowMs <= renewMs + (endMs - renewMs) / 2) return null;
  const text = `Its certificate is not renewed and expires in ${roughSpan(endMs - nowMs)}. Check the way to the devices’ address.`;
  return { severe: false, text };
}

function configurationProblem({ config_state: state, config_detail: detail }: Edge): string | null {
  if (state === null || state === "current" || state === "trying") return null;
  const text = {
    refused: "The newest configuration was rejected",
    "out-of-reach": "The configuration cannot be fetched",
    none: "No configuration is set for this site",
  }[state];
  return detail ? `${text}: ${detail}` : `${text}.`;
}

/** Why a camera's footage is missing or late, by its device's report; null where not known. */
export function missingReason(camera: Camera, report: Edges | null, nowMs: number): string | null {
  if (camera.state === "recording" || report === null) return null;
  const { edges, limits } = report;
  const edge = edges.find(({ cameras }) => cameras.some((one) => one.camera === camera.id));
  const status = edge?.cameras.find((one) => one.camera === camera.id);
  if (!edge || !status) return null;
  if (isSilent(edge, nowMs, limits)) {
    return wasStopped(edge)
      ? `Vigil was stopped on ${edge.edge}`
      : `No heartbeat from ${edge.edge}; it may still be recording`;
  }
  if (status.state === "recording") return "Recorded; waiting for upload";
  if (status.detail) return status.detail;
  return status.state === "connecting" ? "Connecting to the camera" : null;
}
