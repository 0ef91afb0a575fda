import { describe, expect, it } from "vitest";
import type { Box } from "../src/api/names";
import type { Detection } from "../src/api/types";
import { clearest, cropAround } from "../src/detections/crop";
import { colourOf, compareLabels, FAMILY_COLOUR, familyOf } from "../src/detections/labels";
import { boxesAt, samplingInterval, toSamples } from "../src/detections/nearest";
import { LONGEST_MS, neighbour, toSightings } from "../src/detections/sightings";

function seen(at_ms: number, box: Box, track: string | null = "a", label = "person"): Detection {
  const frame = { run: "run", pts: 0, index: 0, model: "people", model_version: "1" };
  return { ...frame, at_ms, label, score: 0.9, box, track };
}

const LEFT: Box = [0.1, 0.1, 0.2, 0.4];
const RIGHT: Box = [0.16, 0.1, 0.2, 0.4];
const FAR: Box = [0.7, 0.5, 0.2, 0.4];

describe("boxes of a frame", () => {
  it("move with their track between two samples", () => {
    const samples = toSamples([seen(1500, RIGHT), seen(1000, LEFT)]);
    const [box] = boxesAt(samples, 500, 1250).map((shown) => shown.box);
    expect(box?.[0]).toBeCloseTo(0.13);
    expect(boxesAt(samples, 500, 1000)[0]?.box).toEqual(LEFT);
    expect(boxesAt(samples, 500, 1500)[0]?.box).toEqual(RIGHT);
  });

  it("move with their track where samples between have missed it", () => {
    const other = (at_ms: number) => seen(at_ms, FAR, "b");
    const samples = toSamples([
      ...[seen(1000, LEFT), other(1000), other(1500)],
      ...[seen(2000, RIGHT), other(2000)],
    ]);
    for (const [atMs, x] of [
      [1250, 0.115],
      [1500, 0.13],
      [1750, 0.145],
    ] as const) {
      const boxes = boxesAt(samples, 500, atMs);
      expect(boxes).toHaveLength(2);
      expect(boxes.find(({ track }) => track === "a")?.box[0]).toBeCloseTo(x);
    }
    const longGone = toSamples([seen(1000, LEFT), other(2500), seen(4500, RIGHT)]);
    expect(boxesAt(longGone, 500, 2500).map(({ track }) => track)).toEqual(["b"]);
  });

  it("do not move when the track may be two objects", () => {
    const jump = toSamples([seen(1000, LEFT), seen(1500, FAR)]);
    expect(boxesAt(jump, 500, 1200).map((shown) => shown.box)).toEqual([LEFT]);
    expect(boxesAt(jump, 500, 1300).map((shown) => shown.box)).toEqual([FAR]);
    const grown: Box = [0.1, 0.1, 0.4, 0.8];
    const zoomed = toSamples([seen(1000, LEFT), seen(1500, grown)]);
    expect(boxesAt(zoomed, 500, 1200).map((shown) => shown.box)).toEqual([LEFT]);
  });

  it("without tracks move only when there is no doubt which is which", () => {
    const alone = toSamples([seen(1000, LEFT, null), seen(2000, RIGHT, null)]);
    expect(boxesAt(alone, 1000, 1500)[0]?.box[0]).toBeCloseTo(0.13);
    const rival: Box = [0.17, 0.1, 0.2, 0.4];
    const crowd = toSamples([
      seen(1000, LEFT, null),
      seen(2000, RIGHT, null),
      seen(2000, rival, null),
    ]);
    expect(boxesAt(crowd, 1000, 1300).map((shown) => shown.box)).toEqual([LEFT]);
    expect(boxesAt(crowd, 1000, 1500)).toHaveLength(0);
    expect(boxesAt(crowd, 1000, 1700).map((shown) => shown.box)).toEqual([RIGHT, rival]);
    const slow = toSamples([seen(1000, LEFT, null), seen(2700, RIGHT, null)]);
    expect(boxesAt(slow, 1500, 1850)).toHaveLength(0);
    const other = toSamples([seen(1000, LEFT, null), seen(2000, RIGHT, null, "car")]);
    expect(boxesAt(other, 1000, 1300).map((shown) => shown.label)).toEqual(["person"]);
  });

  it("are held for a moment after the last sample and not longer", () => {
    const samples = toSamples([seen(1000, LEFT)]);
    expect(boxesAt(samples, 1000, 1300)).toHaveLength(1);
    expect(boxesAt(samples, 1000, 1301)).toHaveLength(0);
    expect(boxesAt(samples, 200, 1200)).toHaveLength(1);
    expect(boxesAt(samples, 200, 1201)).toHaveLength(0);
    expect(boxesAt(samples, 1000, 699)).toHaveLength(0);
  });

  it("are not joined across a long pause", () => {
    const samples = toSamples([seen(1000, LEFT), seen(5000, RIGHT)]);
    expect(boxesAt(samples, 500, 3000)).toHaveLength(0);
    expect(boxesAt(samples, 500, 4700)).toHaveLength(0);
    expect(boxesAt(samples, 500, 4800).map((shown) => shown.box)).toEqual([RIGHT]);
  });

  it("allow for a frame stamped a hair before its sample", () => {
    const samples = toSamples([seen(1000, LEFT)]);
    expect(boxesAt(samples, 500, 990)).toHaveLength(1);
  });

  it("know the sampling interval from the samples", () => {
    expect(samplingInterval([])).toBe(500);
    const samples = toSamples([0, 1000, 2000, 9000, 10_000].map((at) => seen(at, LEFT)));
    expect(samplingInterval(samples)).toBe(1000);
  });
});

describe("sightings", () => {
  const count = (at_ms: number, label = "person", many = 1) => ({ at_ms, label, count: many });

  it("join buckets of a label up to a pause of ten seconds", () => {
    const found = toSightings(
      [count(0), count(2000, "person", 3), count(14_000), count(26_001)],
      2000,
    );
    expect(found.map(({ fromMs, toMs }) => [fromMs, toMs])).toEqual([
      [26_001, 28_001],
      [0, 16_000],
    ]);
    expect(found[1]).toMatchObject({ label: "person", most: 3, peakMs: 3000 });
  });

  it("keep labels apart", () => {
    const found = toSightings([count(0), count(0, "car"), count(2000, "car")], 2000);
    expect(found.map(({ label }) => label)).toEqual(["car", "person"]);
  });

  it("split a scene that is never empty", () => {
    const all = Array.from({ length: 150 }, (_, i) => count(i * 2000));
    const found = toSightings(all, 2000);
    expect(found).toHaveLength(5);
    for (const { fromMs, toMs } of found) expect(toMs - fromMs).toBeLessThanOrEqual(LONGEST_MS);
    expect(found[0]?.toMs).toBe(300_000);
    expect(found[4]?.fromMs).toBe(0);
  });

  it("have neighbours", () => {
    const found = toSightings([count(0), count(60_000), count(120_000)], 2000);
    expect(neighbour(found, 60_000, 1)?.fromMs).toBe(120_000);
    expect(neighbour(found, 60_000, -1)?.fromMs).toBe(0);
    expect(neighbour(found, 59_000, 1)?.fromMs).toBe(120_000);
    expect(neighbour(found, 0, -1)).toBeNull();
    expect(neighbour(found, 120_000, 1)).toBeNull();
  });
});

describe("pictures of sightings", () => {
  it("show the thing whole, in the wished shape, inside the picture", () => {
    for (const box of [LEFT, FAR, [0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1]] as Box[]) {
      const [left, top, width, height] = cropAround(box, 16 / 9, 4 / 3);
      expect((width * 16) / 9 / height).toBeCloseTo(4 / 3);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(top).toBeGreaterThanOrEqual(0);
      expect(left + width).toBeLessThanOrEqual(1 + 1e-9);
      expect(top + height).toBeLessThanOrEqual(1 + 1e-9);
    }
    const [left, top, width, height] = cropAround(LEFT, 4 / 3, 4 / 3);
    expect(left).toBeLessThanOrEqual(0.1);
    expect(top).toBeLessThanOrEqual(0.1);
    expect(left + width).toBeGreaterThanOrEqual(0.3);
    expect(top + height).toBeGreaterThanOrEqual(0.5);
  });

  it("use the sure and large one of the picture's own moment", () => {
    const small = seen(1000, [0.5, 0.5, 0.05, 0.1]);
    const late = seen(1700, LEFT);
    const other = seen(1000, FAR, "b", "car");
    expect(clearest([small, seen(1000, LEFT), other], "person", 1000, 800)?.box).toEqual(LEFT);
    expect(clearest([other, late], "person", 1000, 500)).toBeNull();
    expect(clearest([other, late], "person", 1000, 800)).toBe(late);
  });
});

describe("labels", () => {
  it("keep the colour of their family", () => {
    expect(familyOf("Truck")).toBe("vehicle");
    expect(colourOf("backpack")).toBe(FAMILY_COLOUR.bag);
    expect(colourOf("umbrella")).toBe(FAMILY_COLOUR.other);
    expect(["zebra", "car", "apple", "person"].sort(compareLabels)).toEqual([
      "person",
      "car",
      "zebra",
      "apple",
    ]);
  });
});
