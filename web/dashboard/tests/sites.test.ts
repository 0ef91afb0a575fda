import { describe, expect, it } from "vitest";
import type { Camera, CaptureStatus, Edge, Limits } from "../src/api/types";
import { trackName } from "../src/detections/track-name";
import { bytesText } from "../src/format";
import { isSilent, missingReason, problemsOf } from "../src/sites/health";

const NOW = 1_800_000_000_000;
const LIMITS: Limits = {
  recording_ms: 15_000,
  late_ms: 120_000,
  edge_silent_ms: 90_000,
  disk_low_bytes: 2 ** 30,
};

function edge(more: Partial<Edge> = {}): Edge {
  return {
    site: "acme/hall",
    edge: "hall-1",
    sent_ms: NOW - 5_000,
    heard_ms: NOW - 5_000,
    software: "0.5",
    spool_bytes: 1,
    spool_waiting: 0,
    spool_oldest_ms: null,
    disk_free_bytes: 2 ** 40,
    cameras: [],
    config_version: null,
    config_state: null,
    config_detail: null,
    clock_state: "synchronised",
    clock_error_ms: 34,
    clock_trust: "agreed",
    identity_state: "enrolled",
    identity_generation: 7,
    identity_renew_ms: NOW + 1_000,
    identity_expires_ms: NOW + 43_201_000,
    link_since_ms: null,
    ...more,
  };
}

const NO_IDENTITY = {
  identity_state: null,
  identity_generation: null,
  identity_renew_ms: null,
  identity_expires_ms: null,
  clock_trust: null,
};

function status(state: CaptureStatus["state"], detail = ""): CaptureStatus {
  return { camera: "acme/hall/gate", state, since_ms: NOW - 60_000, detail };
}

function gate(state: Camera["state"]): Camera {
  return {
    id: "acme/hall/gate",
    tenant: "acme",
    site: "hall",
    camera: "gate",
    name: "Gate",
    state,
    since_ms: NOW - 60_000,
    two_recorders: false,
    retired_ms: null,
    disabled_ms: null,
    etag: '"1"',
    last_ms: null,
    first_ms: null,
    width: null,
    height: null,
    labels_recent: [],
  };
}

describe("a site", () => {
  const cases: [string, Partial<Edge>, RegExp | null, boolean][] = [
    ["well", { cameras: [status("recording")], config_state: "current" }, null, false],
    ["silent", { heard_ms: NOW - LIMITS.edge_silent_ms - 1 }, /No heartbeat/, true],
    ["stopped", { heard_ms: 0, cameras: [status("stopped")] }, /was stopped/, true],
    [
      "a camera fails",
      { cameras: [status("failing", "refused")] },
      /1 camera is not recording/,
      true,
    ],
    ["no disk space", { disk_free_bytes: 5 }, /nearly full/, true],
    [
      "uploads late",
      { spool_oldest_ms: NOW - 600_000 },
      /waiting for upload for 9\u00a0min/,
      false,
    ],
    ["uploads on their way", { spool_oldest_ms: NOW - 20_000, spool_waiting: 2 }, null, false],
    [
      "rejects its configuration",
      { config_state: "refused", config_detail: "gate: no." },
      /newest.*gate: no\./,
      false,
    ],
    ["its clock is wrong", { clock_state: "unsynchronised" }, /Allow NTP/, false],
    ["the state of its clock is unknown", { clock_state: "unknown" }, null, false],
    ["an older version reports no clock", { clock_state: null }, null, false],
    ["its clock is not the cloud’s", { clock_trust: "wrong" }, /by more than 5 minutes/, false],
    ["its identity is locked", { identity_state: "locked" }, /locked: it records/, true],
    ["it is not enrolled", NO_IDENTITY, null, false],
    ["a renewal is due", { identity_renew_ms: NOW - 1, identity_expires_ms: NOW + 9 }, null, false],
    [
      "a renewal is overdue",
      { identity_renew_ms: NOW - 7_200_000, identity_expires_ms: NOW + 3_600_000 },
      /not renewed and expires in 1\u00a0h/,
      false,
    ],
    [
      "its certificate expired",
      { identity_renew_ms: NOW - 2, identity_expires_ms: NOW - 1 },
      /expired/,
      true,
    ],
    ["on trial", { config_state: "trying", config_detail: "x" }, null, false],
  ];
  it.each(cases)("%s", (_, more, text, severe) => {
    const found = problemsOf(edge(more), NOW, LIMITS);
    if (text === null) expect(found).toEqual([]);
    else {
      expect(found).toHaveLength(1);
      expect(found[0]?.text).toMatch(text);
      expect(found[0]?.severe).toBe(severe);
    }
  });

  it("is silent only after a while", () => {
    expect(isSilent(edge({ heard_ms: NOW - LIMITS.edge_silent_ms }), NOW, LIMITS)).toBe(false);
  });
});

describe("why a camera has no footage", () => {
  const cases: [string, Camera["state"], Edge[], RegExp | null][] = [
    ["it has footage", "recording", [edge({ cameras: [status("failing", "no")] })], null],
    ["no device reports it", "offline", [edge()], null],
    [
      "its device reports it",
      "offline",
      [edge({ cameras: [status("failing", "no data")] })],
      /^no data$/,
    ],
    [
      "it waits on the device",
      "late",
      [edge({ cameras: [status("recording")] })],
      /waiting for upload/,
    ],
    [
      "its device is silent",
      "offline",
      [edge({ heard_ms: 0, cameras: [status("recording")] })],
      /No heartbeat from hall-1/,
    ],
    ["it has just started", "new", [edge({ cameras: [status("connecting")] })], /Connecting/],
  ];
  it.each(cases)("%s", (_, state, edges, text) => {
    const why = missingReason(gate(state), { now_ms: NOW, limits: LIMITS, edges, next: null }, NOW);
    if (text === null) expect(why).toBeNull();
    else expect(why).toMatch(text);
  });
});

describe("in text", () => {
  it("says sizes", () => {
    expect([0, 1023, 1536, 20 * 2 ** 30].map(bytesText)).toEqual([
      "0\u00a0B",
      "1023\u00a0B",
      "1.5\u00a0KiB",
      "20\u00a0GiB",
    ]);
  });

  it("names tracks shortly and always alike", () => {
    expect(trackName(7)).toBe("7");
    expect(trackName("e01ef7-0")).toMatch(/^\d{3}$/);
    expect(trackName("e01ef7-0")).toBe(trackName("e01ef7-0"));
    const some = Array.from({ length: 8 }, (_, i) => trackName(`e01ef7-${i}`));
    expect(new Set(some).size).toBe(8);
  });
});
