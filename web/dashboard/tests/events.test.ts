import { describe, expect, test, vi } from "vitest";
import type { Camera, StreamedCamera } from "../src/api/types";
import { CameraStates } from "../src/camera-states";
import { LiveCamera } from "../src/live-camera";

const camera = (id: string, lastMs: number): Camera =>
  ({ id, state: "recording", since_ms: 0, last_ms: lastMs, two_recorders: false }) as Camera;

const streamed = (id: string, more: Partial<StreamedCamera> = {}): StreamedCamera => ({
  id,
  state: "recording",
  since_ms: 0,
  last_ms: 1000,
  retired_ms: null,
  two_recorders: false,
  ...more,
});

describe("states of cameras by events", () => {
  const list = [camera("a/b/one", 1000), camera("a/b/two", 1000)];

  test("what is newer than the list is shown, what is older is not", () => {
    const states = new CameraStates();
    const event = { now_ms: 500, cameras: [streamed("a/b/one", { state: "offline" as const })] };
    expect(states.take(event, list)).toBe(false);
    expect(states.applied(list, 600).map(({ state }) => state)).toEqual(["recording", "recording"]);
    expect(states.applied(list, 400).map(({ state }) => state)).toEqual(["offline", "recording"]);
  });

  test("newer footage keeps the state", () => {
    const states = new CameraStates();
    states.take({ now_ms: 500, cameras: [streamed("a/b/one", { state: "late" })] }, list);
    states.takeFootage({ now_ms: 700, cameras: [{ id: "a/b/one", last_ms: 5000 }] });
    const [one] = states.applied(list, 400);
    expect([one?.state, one?.last_ms]).toEqual(["late", 5000]);
  });

  test.each([
    ["a new camera", streamed("a/b/new"), true],
    ["one that is gone", streamed("a/b/one", { state: "removed" }), true],
    ["one that is out of use now", streamed("a/b/one", { retired_ms: 1 }), true],
    ["one out of use that is not listed", streamed("a/b/old", { retired_ms: 1 }), false],
    ["a known one", streamed("a/b/two"), false],
  ])("%s: the list is asked for again or not", (_name, one, expected) => {
    expect(new CameraStates().take({ now_ms: 1, cameras: [one] }, list)).toBe(expected);
  });
});

test("without events all is polled, with them only what changed, and all now and then", () => {
  vi.useFakeTimers({ now: 100_000 });
  const live = new LiveCamera();
  expect(live.detectionsDue(98_400, 1500)).toBe(true);
  expect(live.detectionsDue(99_000, 1500)).toBe(false);
  live.open = true;
  expect(live.detectionsDue(98_400, 1500)).toBe(false);
  expect(live.detectionsDue(84_000, 1500)).toBe(true);
  live.noteDetections([65_000, 66_000]);
  expect(live.detectionsDue(98_400, 1500)).toBe(true);
  expect(live.detectionsDue(98_400, 1500, 60_000, 80_000)).toBe(true);
  expect(live.detectionsDue(98_400, 1500, 80_000, 100_000)).toBe(false);
  expect(live.footageDue(98_400, 1500)).toBe(true);
  vi.useRealTimers();
});
