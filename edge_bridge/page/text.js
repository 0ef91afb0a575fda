// Times, sizes and the device's state in words.

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
const CONFIG = { current: "good", trying: "warn", none: "warn", refused: "bad", "out-of-reach": "warn" };

/** What there is to say of the device: [kind, words, why or nothing], one each. */
export function told(said, nowMs) {
  const parts = [];
  for (const [name, link] of Object.entries(said.links)) {
    const title = LINKS[name] || name;
    if (link.down_since_s === null) parts.push(["good", `${title} reached`, ""]);
    else parts.push(["bad", `${title} out of reach for ${span(nowMs - link.down_since_s * 1000)}`, link.detail]);
  }
  if (said.disk) {
    const { state, detail } = said.disk;
    parts.push([state === "good" ? "good" : "bad", `Disk ${state}`, state === "good" ? "" : detail]);
  }
  if (said.spool) {
    const { bytes, waiting, oldest_ms, given_up } = said.spool;
    parts.push(["idle", `${size(bytes)} on this device`, ""]);
    if (!waiting) parts.push(["good", "All uploaded", ""]);
    else {
      const late = oldest_ms !== null && nowMs - oldest_ms > 60000;
      const oldest = oldest_ms === null ? "" : `, oldest ${span(nowMs - oldest_ms)}`;
      parts.push([late ? "warn" : "good", `${waiting} to upload${oldest}`, ""]);
    }
    if (given_up) parts.push(["bad", `${given_up} fragments given up`, "They were deleted before they could be uploaded; `vigil edge given-up` lists them."]);
  }
  if (said.clock !== "right") parts.push(["bad", "Clock not set", "Footage is held back and stamped once the time is known: let NTP run."]);
  else if (said.clock_sync?.state === "unsynchronised") parts.push(["warn", "Clock not synchronised", "Nobody keeps it, so the times of footage may be wrong: let chrony or systemd-timesyncd run, and let NTP (UDP 123) through."]);
  else if (said.clock_sync?.state === "unknown") parts.push(["idle", "Clock: not known whether it is synchronised", ""]);
  if (said.inference !== "off") {
    const kind = INFERENCE[said.inference] || "warn";
    parts.push([kind, `Inference ${said.inference}`, kind === "good" ? "" : said.inference_detail]);
  }
  if (said.config) {
    const { version, state, detail } = said.config;
    const which = version === null ? "Own configuration" : `Configuration ${version}`;
    parts.push([CONFIG[state] || "warn", state === "current" ? which : `${which}, ${state.replaceAll("-", " ")}`, state === "current" ? "" : detail]);
  }
  return parts;
}
