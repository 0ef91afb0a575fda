import { describe, expect, it } from "vitest";
import type { CameraState } from "../src/api/names";
import type { Camera } from "../src/api/types";
import { LiveSlots } from "../src/wall/live-slots";
import { arrange, commonAspect, matches, problemCount } from "../src/wall/order";

function camera(name: string, state: CameraState, more: Partial<Camera> = {}): Camera {
  return {
    id: `acme/hall/${name}`,
    tenant: "acme",
    site: "hall",
    camera: name,
    name,
    state,
    since_ms: 0,
    two_recorders: false,
    retired_ms: null,
    disabled_ms: null,
    etag: '"1"',
    last_ms: null,
    first_ms: null,
    width: 768,
    height: 576,
    labels_recent: [],
    ...more,
  };
}

describe("the wall", () => {
  it("shows problems first, then by name with numbers in order", () => {
    const all = [
      camera("door 10", "recording"),
      camera("door 2", "recording"),
      camera("yard", "late"),
      camera("roof", "new"),
      camera("gate", "offline"),
    ];
    expect(arrange(all).map(({ name }) => name)).toEqual([
      "gate",
      "yard",
      "roof",
      "door 2",
      "door 10",
    ]);
    expect(problemCount(all)).toBe(2);
    expect(all[0]?.name).toBe("door 10");
  });

  it("filters by every word", () => {
    const one = camera("gate", "offline", { labels_recent: [{ label: "truck", count: 2 }] });
    for (const filter of ["", "  ", "GATE", "hall off", "truck", "acme/hall"]) {
      expect(matches(one, filter), filter).toBe(true);
    }
    for (const filter of ["yard", "gate recording"]) expect(matches(one, filter)).toBe(false);
  });

  it("takes the shape that most cameras have", () => {
    const wide = { width: 1920, height: 1080 };
    expect(commonAspect([])).toBeCloseTo(16 / 9);
    expect(
      commonAspect([
        camera("a", "recording", wide),
        camera("b", "recording"),
        camera("c", "recording"),
        camera("d", "new", { width: null, height: null }),
      ]),
    ).toBeCloseTo(4 / 3, 2);
  });
});

describe("places for live pictures", () => {
  it("go to those that ask first, then to those that wait", () => {
    const slots = new LiveSlots(2);
    const granted: string[] = [];
    const [one, two, three] = ["one", "two", "three"].map((name) =>
      slots.ask(() => granted.push(name)),
    );
    const four = slots.ask(() => granted.push("four"));
    expect(granted).toEqual(["one", "two"]);
    three?.(); // it left the view while it waited
    one?.();
    one?.();
    expect(granted).toEqual(["one", "two", "four"]);
    two?.();
    four();
    slots.ask(() => granted.push("five"));
    expect(granted.at(-1)).toBe("five");
  });
});
