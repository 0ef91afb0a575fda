import { describe, expect, it } from "vitest";
import { commandOf, KEY_HELP } from "../src/camera/keys";
import { contained, placeTag, touches } from "../src/player/tags";

const picture = { x: 0, y: 0, width: 400, height: 300 };

describe("tags", () => {
  it("go above their box, inside it at the top edge, below it when both are taken", () => {
    const box = { x: 100, y: 100, width: 40, height: 80 };
    const above = placeTag(box, 60, 16, picture, []);
    expect(above).toMatchObject({ x: 99, y: 83 });
    const inside = placeTag({ ...box, y: 4 }, 60, 16, picture, []);
    expect(inside?.y).toBe(5);
    const taken = [above, { x: 99, y: 101, width: 60, height: 16 }].filter((tag) => tag !== null);
    expect(placeTag(box, 60, 16, picture, taken)?.y).toBe(181);
  });

  it("stay inside the picture and never touch each other", () => {
    const taken = [];
    for (let i = 0; i < 60; i++) {
      const box = { x: (i * 37) % 390, y: (i * 53) % 280, width: 30, height: 60 };
      const tag = placeTag(box, 70, 16, picture, taken);
      if (!tag) continue;
      expect(tag.x).toBeGreaterThanOrEqual(0);
      expect(tag.x + tag.width).toBeLessThanOrEqual(400);
      expect(tag.y).toBeGreaterThanOrEqual(0);
      expect(tag.y + tag.height).toBeLessThanOrEqual(300);
      for (const other of taken) expect(touches(tag, other)).toBe(false);
      taken.push(tag);
    }
    expect(taken.length).toBeGreaterThan(10);
  });

  it("know where the picture lies in its element", () => {
    expect(contained(800, 300, 400, 300)).toEqual({ x: 200, y: 0, width: 400, height: 300 });
    expect(contained(400, 600, 400, 300)).toEqual({ x: 0, y: 150, width: 400, height: 300 });
  });
});

describe("keys", () => {
  const press = (key: string, shiftKey = false) =>
    commandOf({ key, shiftKey, ctrlKey: false, metaKey: false, altKey: false });

  it("do what the list says", () => {
    expect(press(" ")).toEqual({ do: "toggle" });
    expect(press("j")).toEqual({ do: "nudge", byMs: -10_000 });
    expect(press("ArrowRight")).toEqual({ do: "nudge", byMs: 5000 });
    expect(press("ArrowRight", true)).toEqual({ do: "sighting", step: 1 });
    expect(press(",")).toEqual({ do: "frame", step: -1 });
    expect(press("?", true)).toEqual({ do: "help" });
    expect(press("x")).toBeNull();
    expect(KEY_HELP.length).toBeGreaterThan(8);
  });

  it("controller the browser its own", () => {
    const held = { key: "f", shiftKey: false, ctrlKey: true, metaKey: false, altKey: false };
    expect(commandOf(held)).toBeNull();
  });
});
