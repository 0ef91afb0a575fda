import { describe, expect, it } from "vitest";
import {
  mediaAtOrAfter,
  mediaOf,
  mediaOfStart,
  type Segment,
  wallEnd,
  wallOf,
} from "../src/player/mediaclock";
import { Restarts } from "../src/player/restarts";
import { isInLiveWindow, liveWindow, nextRate, RATES, windowAround } from "../src/player/window";

/** Two segments, a gap of 10 s, one more segment; the media time has no gap. */
const segments: Segment[] = [
  { mediaStartS: 0, durationS: 4, wallStartMs: 100_000 },
  { mediaStartS: 4, durationS: 4, wallStartMs: 104_000 },
  { mediaStartS: 8, durationS: 2, wallStartMs: 118_000 },
];

describe("media time and wall time", () => {
  it("agree within each segment", () => {
    expect(wallOf(segments, 0)).toBe(100_000);
    expect(wallOf(segments, 5.5)).toBe(105_500);
    expect(wallOf(segments, 8)).toBe(118_000);
    expect(wallOf(segments, 7.99)).toBeCloseTo(107_990);
    for (const wall of [100_000, 103_999, 107_500, 119_000]) {
      const media = mediaOf(segments, wall);
      expect(media).not.toBeNull();
      expect(wallOf(segments, media ?? -1)).toBeCloseTo(wall);
    }
  });

  it("have nothing to say outside the segments", () => {
    expect(wallOf([], 3)).toBeNull();
    expect(wallOf(segments, 30)).toBeNull();
    expect(wallOf(segments, -2)).toBeNull();
    expect(mediaOf(segments, 110_000)).toBeNull();
    expect(mediaOf(segments, 99_999)).toBeNull();
  });

  it("cross a gap to the later segment", () => {
    expect(mediaAtOrAfter(segments, 110_000)).toBe(8);
    expect(mediaAtOrAfter(segments, 90_000)).toBe(0);
    expect(mediaAtOrAfter(segments, 130_000)).toBeNull();
    expect(wallEnd(segments)).toBe(120_000);
  });
});

describe("a start", () => {
  const start = { wallMs: 104_000, key: "b" };

  it("is the segment itself, also where a clock was set back", () => {
    const list = [
      { mediaStartS: 0, durationS: 4, wallStartMs: 104_000, key: "a" },
      { mediaStartS: 4, durationS: 4, wallStartMs: 104_000, key: "b" },
    ];
    expect(mediaOfStart(list, start)).toBe(4);
    expect(mediaOfStart(list, { wallMs: 104_000 })).toBe(0);
  });

  it("is the time where the list names the segment differently", () => {
    expect(mediaOfStart(segments, start)).toBe(4);
    expect(mediaOfStart(segments, { wallMs: 110_000, key: "b" })).toBe(8);
    expect(mediaOfStart([], start)).toBeNull();
  });
});

describe("restarts", () => {
  it("are bounded while no frame behind the place is shown", () => {
    const restarts = new Restarts();
    const allowed = [];
    for (let i = 0; i < 5; i++) {
      allowed.push(restarts.allow(10_000));
      restarts.shown(9_000);
    }
    expect(allowed).toEqual([true, true, true, false, false]);
    restarts.reset();
    expect(restarts.allow(10_000)).toBe(true);
  });

  it("are not bounded while playback advances", () => {
    const restarts = new Restarts();
    for (let at = 0; at < 20_000; at += 1000) {
      expect(restarts.allow(at)).toBe(true);
      restarts.shown(at + 20);
    }
  });

  it("are bounded where the place is not known", () => {
    const restarts = new Restarts();
    const allowed = [1, 2, 3, 4].map(() => restarts.allow(null));
    expect(allowed).toEqual([true, true, true, false]);
    restarts.shown(1);
    expect(restarts.allow(null)).toBe(true);
  });
});

describe("windows and speeds", () => {
  it("know which times a live list has", () => {
    expect(isInLiveWindow(liveWindow(1_000_000).fromMs, 1_000_000)).toBe(false);
    expect(isInLiveWindow(960_000, 1_000_000)).toBe(true);
  });

  it("are bounded, and longer ahead at speed", () => {
    const one = windowAround(1_000_000, 1);
    expect(one).toEqual({ fromMs: 880_000, toMs: 1_600_000 });
    const fast = windowAround(1_000_000, 16);
    expect(fast.toMs).toBe(1_000_000 + 3_600_000);
  });

  it("step through the list and stop at its ends", () => {
    expect(nextRate(1, 1)).toBe(1.5);
    expect(nextRate(1, -1)).toBe(0.5);
    expect(nextRate(RATES[0] ?? 0, -1)).toBe(0.25);
    expect(nextRate(16, 1)).toBe(16);
  });
});
