import { expect, test } from "vitest";
import { detailOf, ordered, progressOf, stateOf } from "../src/admin/fleet-state";
import type { Fleet } from "../src/api/types";

function device(name: string, more: Partial<Fleet> = {}): Fleet {
  return {
    device: `acme/${name}/edge-1`,
    site: `acme/${name}`,
    ring: "early",
    state: "pending",
    behind: "its ring is not open",
    fault: null,
    reason: null,
    reported_ms: 1,
    ...more,
  } as Fleet;
}

const DONE = { state: "succeeded", behind: null } as const;

test("a fault is shown before the state, and says why", () => {
  const faulty = device("a", { ...DONE, fault: "records 2 of 4 cameras" });
  expect(stateOf(faulty)).toEqual(["offline", "Has a fault"]);
  expect(detailOf(faulty)).toBe("Records 2 of 4 cameras");
  expect(stateOf(device("b", { reported_ms: null }))[1]).toBe("No update agent");
  expect(stateOf(device("c", { state: null, behind: null, reported_ms: null }))[1]).toBe(
    "No rollout",
  );
});

test("rings without devices are left out, and each device counts once", () => {
  const devices = [
    device("a", DONE),
    device("b", { ...DONE, fault: "silent" }),
    device("c", { state: "installing" }),
    device("d"),
    device("e", { ring: "rest" }),
  ];
  expect(progressOf(devices)).toEqual([
    { ring: "early", devices: 4, updated: 1, inProgress: 1, faults: 1 },
    { ring: "rest", devices: 1, updated: 0, inProgress: 0, faults: 0 },
  ]);
});

test("faults come first, then who is behind, then the others", () => {
  const found = ordered([
    device("c", DONE),
    device("b"),
    device("a"),
    device("z", { state: "failed" }),
  ]);
  expect(found.map(({ site }) => site)).toEqual(["acme/z", "acme/a", "acme/b", "acme/c"]);
});
