import { describe, expect, it } from "vitest";
import { mediaAtOrAfter, mediaOf, type Piece, wallEnd, wallOf } from "../src/player/mediaclock";
import { nextRate, RATES, windowAround } from "../src/player/window";

/** Two pieces, a gap of 10 s, one more piece; the film itself has no gap. */
const pieces: Piece[] = [
  { mediaStartS: 0, durationS: 4, wallStartMs: 100_000 },
  { mediaStartS: 4, durationS: 4, wallStartMs: 104_000 },
  { mediaStartS: 8, durationS: 2, wallStartMs: 118_000 },
];

describe("film and wall time", () => {
  it("agree within each piece", () => {
    expect(wallOf(pieces, 0)).toBe(100_000);
    expect(wallOf(pieces, 5.5)).toBe(105_500);
    expect(wallOf(pieces, 8)).toBe(118_000);
    expect(wallOf(pieces, 7.99)).toBeCloseTo(107_990);
    for (const wall of [100_000, 103_999, 107_500, 119_000]) {
      const media = mediaOf(pieces, wall);
      expect(media).not.toBeNull();
      expect(wallOf(pieces, media ?? -1)).toBeCloseTo(wall);
    }
  });

  it("have nothing to say outside the pieces", () => {
    expect(wallOf([], 3)).toBeNull();
    expect(wallOf(pieces, 30)).toBeNull();
    expect(wallOf(pieces, -2)).toBeNull();
    expect(mediaOf(pieces, 110_000)).toBeNull();
    expect(mediaOf(pieces, 99_999)).toBeNull();
  });

  it("cross a gap to the later piece", () => {
    expect(mediaAtOrAfter(pieces, 110_000)).toBe(8);
    expect(mediaAtOrAfter(pieces, 90_000)).toBe(0);
    expect(mediaAtOrAfter(pieces, 130_000)).toBeNull();
    expect(wallEnd(pieces)).toBe(120_000);
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
