import { describe, expect, it } from "vitest";
import {
  around,
  bucketFor,
  clamp,
  follow,
  LONGEST_MS,
  msOf,
  pan,
  SHORTEST_MS,
  spanOf,
  tickStep,
  ticks,
  xOf,
  zoom,
} from "../src/timeline/scale";

const HOUR = 3_600_000;
const NOON = Date.UTC(2026, 10, 22, 12);
const bounds = { minMs: NOON - 40 * 24 * HOUR, maxMs: NOON + HOUR };
const view = { fromMs: NOON - HOUR, toMs: NOON };

describe("scale", () => {
  it("maps time to pixels and back", () => {
    expect(xOf(view, 900, NOON - HOUR / 2)).toBe(450);
    for (const x of [0, 13, 450, 900]) expect(xOf(view, 900, msOf(view, 900, x))).toBeCloseTo(x);
  });

  it("keeps the moment under the cursor when zooming", () => {
    let now = { fromMs: NOON - 24 * HOUR, toMs: NOON };
    const at = NOON - 3 * HOUR;
    const x = xOf(now, 1000, at);
    while (spanOf(now) > SHORTEST_MS) {
      now = zoom(now, 1.7, at, bounds);
      expect(xOf(now, 1000, at)).toBeCloseTo(x, 3);
    }
    expect(spanOf(now)).toBe(SHORTEST_MS);
    for (let i = 0; i < 40; i++) now = zoom(now, 0.5, at, bounds);
    expect(spanOf(now)).toBe(LONGEST_MS);
  });

  it("never leaves its bounds", () => {
    const later = pan(view, 100 * HOUR, bounds);
    expect(later.toMs).toBe(bounds.maxMs);
    expect(spanOf(later)).toBe(HOUR);
    const early = pan(view, -10_000 * HOUR, bounds);
    expect(early.fromMs).toBe(bounds.minMs);
    expect(spanOf(early)).toBe(HOUR);
    const wide = clamp({ fromMs: 0, toMs: 10 ** 15 }, { minMs: NOON - HOUR, maxMs: NOON });
    expect(wide.toMs).toBe(NOON);
  });

  it("turns the page only when the playhead leaves the view by itself", () => {
    expect(follow(view, NOON - 1000, NOON - 900, bounds)).toBe(view);
    const next = follow(view, NOON - 10, NOON + 10, bounds);
    expect(next).not.toBe(view);
    expect(next.fromMs).toBeLessThan(NOON + 10);
    expect(next.toMs).toBeGreaterThan(NOON + 10);
    const away = { fromMs: NOON - 9 * HOUR, toMs: NOON - 8 * HOUR };
    expect(follow(away, NOON - 10, NOON + 10, bounds)).toBe(away);
  });

  it("centres a view where asked", () => {
    const centred = around(NOON - 5 * HOUR, 2 * HOUR, bounds);
    expect(centred).toEqual({ fromMs: NOON - 6 * HOUR, toMs: NOON - 4 * HOUR });
  });
});

describe("ticks", () => {
  it("lie on round times of the zone", () => {
    const offset = 5.5 * HOUR;
    const wide = { fromMs: NOON - 24 * HOUR, toMs: NOON };
    const step = tickStep(wide, 900, 80);
    expect(step).toBe(3 * HOUR);
    const marks = ticks(wide, step, offset);
    expect(marks).toHaveLength(8);
    for (const mark of marks) expect((mark + offset) % step).toBe(0);
  });

  it("are never closer than asked", () => {
    for (const span of [1000, 7000, 60_000, HOUR, 24 * HOUR, 31 * 24 * HOUR]) {
      const some = { fromMs: NOON - span, toMs: NOON };
      const step = tickStep(some, 800, 80);
      expect((step / span) * 800).toBeGreaterThanOrEqual(80);
    }
  });

  it("ask for data about as fine as the pixels", () => {
    expect(bucketFor({ fromMs: 0, toMs: 1000 }, 1000)).toBe(100);
    expect(bucketFor({ fromMs: 0, toMs: HOUR }, 1200)).toBe(10_000);
    expect(bucketFor({ fromMs: 0, toMs: LONGEST_MS }, 300)).toBe(HOUR);
  });
});
