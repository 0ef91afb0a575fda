// Times, sizes and the device's state as text.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const form = (options) => new Intl.DateTimeFormat("en-GB", { ...options, hourCycle: "h23" });
const hours = form({ hour: "2-digit", minute: "2-digit" });
const seconds = form({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = form({ weekday: "short", day: "numeric", month: "short" });
const named = form({ timeZoneName: "short" });

export const zoneName = zone;
export const hourMinute = (ms) => hours.format(ms);
/** Mon 23 Nov 01:32:29 CET */
export function moment(ms) {
  const label = named.formatToParts(ms).find((part) => part.type === "timeZoneName").value;
  return `${day.format(ms).replace(",", "")} ${seconds.format(ms)} ${label}`;
}

export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let n = 0;
  while (bytes >= 1024 && n < units.length - 1) { bytes /= 1024; n++; }
  return `${bytes.toFixed(bytes < 10 && n ? 1 : 0)} ${units[n]}`;
}

export const STATES = {
  failing: ["Failing", "bad"],
  connecting: ["Connecting", "warn"],
  stopped: ["Stopped", "warn"],
  recording: ["Recording", "good"],
};

const LINKS = { s3: "S3", sqs: "SQS", central: "Catalog" };
const INFERENCE = { working: "good", loading: "warn", stopped: "warn", waiting: "bad" };
const CONFIG = {
  current: ["good", ""],
  trying: ["warn", ", on trial"],
  none: ["warn", ", none set in the catalog"],
  refused: ["bad", ", newest rejected"],
  "out-of-reach": ["warn", ", newest cannot be fetched"],
};

/** The device's state for people: rows of [kind, text, detail or ""]. */
export function deviceRows(report, nowMs) {
  const rows = [];
  for (const [name, link] of Object.entries(report.links)) {
    const title = LINKS[name] || name;
    if (link.down_since_s === null) rows.push(["good", `${title} reachable`, ""]);
    else rows.push(["bad", `${title} unreachable for ${span(nowMs - link.down_since_s * 1000)}`, link.detail]);
  }
  if (report.disk) {
    const { state, detail } = report.disk;
    rows.push([state === "good" ? "good" : "bad", `Disk ${state}`, state === "good" ? "" : detail]);
  }
  if (report.spool) {
    const { bytes, waiting, oldest_ms, given_up } = report.spool;
    rows.push(["idle", `${size(bytes)} on this device`, ""]);
    if (!waiting) rows.push(["good", "All uploaded", ""]);
    else {
      const late = oldest_ms !== null && nowMs - oldest_ms > 60000;
      const oldest = oldest_ms === null ? "" : `, oldest ${span(nowMs - oldest_ms)}`;
      rows.push([late ? "warn" : "good", `${waiting} to upload${oldest}`, ""]);
    }
    if (given_up) rows.push(["bad", `${given_up} fragments given up`, "They were deleted before they were uploaded. `vigil edge given-up` lists them."]);
  }
  if (report.clock !== "right") rows.push(["bad", "Clock not set", "Footage waits on this device until the clock is set. Allow NTP (UDP 123)."]);
  else if (report.clock_sync?.state === "unsynchronised") rows.push(["warn", "Clock not synchronised", "The times of footage may be wrong. Start chrony or systemd-timesyncd, and allow NTP (UDP 123)."]);
  else if (report.clock_sync?.state === "unknown") rows.push(["idle", "Clock synchronisation unknown", ""]);
  if (report.identity) {
    const { state, detail, device } = report.identity;
    const kind = state !== "enrolled" ? "bad" : detail ? "warn" : "good";
    const text = state === "enrolled" ? `Enrolled as ${device}` : `Identity ${state}: nothing is uploaded`;
    rows.push([kind, text, detail]);
  }
  if (report.inference !== "off") {
    const kind = INFERENCE[report.inference] || "warn";
    rows.push([kind, `Inference ${report.inference}`, kind === "good" ? "" : report.inference_detail]);
  }
  if (report.config) {
    const { version, state, detail } = report.config;
    const which = version === null ? "Local configuration" : `Configuration ${version}`;
    const [kind, text] = CONFIG[state] || ["warn", `, ${state}`];
    rows.push([kind, `${which}${text}`, state === "current" ? "" : detail]);
  }
  return rows;
}

/** Return why a request failed, in the server's words. */
export async function reasonOf(answer) {
  const body = await answer.text();
  try { return JSON.parse(body).detail ?? body; } catch { return body; }
}
