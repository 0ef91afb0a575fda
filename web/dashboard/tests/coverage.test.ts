import { describe, expect, it } from "vitest";
import { jumped, land, reasonAt } from "../src/timeline/coverage";

const covered: [number, number][] = [
  [1000, 5000],
  [9000, 20_000],
  [30_000, 31_000],
];
const gaps = [
  { from_ms: 5000, to_ms: 6000, reason: "spool_full" },
  { from_ms: 6000, to_ms: 9000, reason: "camera_lost" },
];

describe("landing", () => {
  it("stays where footage is", () => {
    expect(land(1000, covered, gaps)).toEqual({ atMs: 1000, skipped: null });
    expect(land(4999, covered, gaps)).toEqual({ atMs: 4999, skipped: null });
  });

  it("crosses a gap to the next footage and says why", () => {
    expect(land(5000, covered, gaps)).toEqual({
      atMs: 9000,
      skipped: { from_ms: 5000, to_ms: 9000, reason: "camera_lost" },
    });
    expect(land(0, covered, gaps)?.atMs).toBe(1000);
    expect(land(25_000, covered, gaps)).toEqual({
      atMs: 30_000,
      skipped: { from_ms: 25_000, to_ms: 30_000, reason: "" },
    });
  });

  it("takes the nearest footage however the answer is ordered", () => {
    expect(land(6000, [...covered].reverse(), gaps)?.atMs).toBe(9000);
  });

  it("finds nothing after the last footage", () => {
    expect(land(31_000, covered, gaps)).toBeNull();
    expect(land(0, [], [])).toBeNull();
  });

  it("names the gap that covers most", () => {
    expect(reasonAt(gaps, 5900, 6050)).toBe("spool_full");
    expect(reasonAt(gaps, 0, 5000)).toBe("");
  });
});

describe("a jump while playing", () => {
  it("is seen when wall time moves on further than media time", () => {
    const before = { wallMs: 5000, mediaS: 4 };
    expect(jumped(before, { wallMs: 5100, mediaS: 4.1 })).toBeNull();
    expect(jumped(before, { wallMs: 9100, mediaS: 4.1 })).toEqual({ fromMs: 5100, toMs: 9100 });
  });

  it("is not seen in fast playing, nor in going back", () => {
    const before = { wallMs: 5000, mediaS: 4 };
    expect(jumped(before, { wallMs: 8000, mediaS: 7 })).toBeNull();
    expect(jumped(before, { wallMs: 1000, mediaS: 0 })).toBeNull();
  });
});
