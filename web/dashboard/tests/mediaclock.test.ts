import { describe, expect, it } from "vitest";
import { mediaAtOrAfter, mediaOf, type Segment, wallEnd, wallOf } from "../src/player/mediaclock";
import { nextRate, RATES, windowAround } from "../src/player/window";

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

describe("windows and speeds", () => {
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
