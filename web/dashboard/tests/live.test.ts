import { describe, expect, it } from "vitest";
import type { Edge } from "../src/api/types";
import { deviceOf, fileName } from "../src/camera/snapshot";
import { LiveEdge } from "../src/live/live-edge";
import { parseMessage, segmentTime, timescaleOf } from "../src/live/messages";

type Bytes = Uint8Array<ArrayBuffer>;

const u32 = (value: number): number[] => [24, 16, 8, 0].map((bits) => (value >>> bits) & 0xff);
const name = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
const box = (type: string, ...content: number[][]): number[] => {
  const body = content.flat();
  return [...u32(8 + body.length), ...name(type), ...body];
};
const bytes = (...parts: number[][]): Bytes => new Uint8Array(parts.flat());

function media(first: number, segment: Bytes, utcMs: number): ArrayBuffer {
  const message = new Uint8Array(9 + segment.length);
  message[0] = first;
  new DataView(message.buffer).setBigUint64(1, BigInt(utcMs));
  message.set(segment, 9);
  return message.buffer;
}

/** Two pictures of 3,600 ticks from 900,000 on, the first shown 7,200 ticks later. */
const run = box(
  "trun",
  u32(0x01000f01),
  u32(2),
  u32(100),
  ...[7200, -3600].map((shift) => [...u32(3600), ...u32(10), ...u32(0), ...u32(shift)]),
);
const decode = box("tfdt", u32(0x01000000), u32(0), u32(900_000));
const segment = bytes(box("moof", box("mfhd", u32(0), u32(1)), box("traf", decode, run)));
const header = box("mdhd", u32(0), u32(0), u32(0), u32(90_000), u32(0));
const init = bytes(box("ftyp"), box("moov", box("trak", box("mdia", header))));

describe("messages of a live picture", () => {
  it("differ by their first byte", () => {
    const message = parseMessage(media(2, segment, 1_764_500_000_123));
    expect(message).toMatchObject({ kind: "media", keyframe: true, utcMs: 1_764_500_000_123 });
    expect(parseMessage(media(3, segment, 1))).toMatchObject({ kind: "media", keyframe: false });
    expect(parseMessage(new Uint8Array([1, 5]).buffer)).toMatchObject({ kind: "init" });
  });

  it("of other kinds, and damaged ones, are left out", () => {
    const unknown = ["{", "[]", "null", '{"type":"other"}', '{"type":"format"}', ""];
    for (const text of unknown) expect(parseMessage(text)).toBeNull();
    for (const data of [[], [9, 1], [2, 0, 0]]) {
      expect(parseMessage(new Uint8Array(data).buffer)).toBeNull();
    }
  });

  it("in text are the format, boxes and the end", () => {
    expect(
      parseMessage('{"type":"format","codecs":"avc1.64001f","width":8,"height":4}'),
    ).toMatchObject({ kind: "format", codecs: "avc1.64001f" });
    expect(parseMessage('{"type":"end","reason":"No link."}')).toEqual({
      kind: "end",
      reason: "No link.",
    });
    expect(parseMessage('{"type":"detections","frames":[]}')).toMatchObject({ frames: [] });
  });

  it("have the time at which their first picture is shown", () => {
    expect(timescaleOf(init)).toBe(90_000);
    expect(segmentTime(segment, 90_000)).toEqual({ startS: 10.08, durationS: 0.08 });
    for (let size = 0; size < segment.length; size++) {
      expect(segmentTime(segment.slice(0, size), 90_000)).toBeNull();
    }
  });
});

describe("the live edge", () => {
  const play = (edge: LiveEdge, aheadS: number, nowMs = 0) =>
    edge.step(10, 0, 10 + aheadS, nowMs, true);

  it("plays on near it, faster behind it, and jumps from far behind", () => {
    const edge = new LiveEdge();
    expect(play(edge, 0.1)).toEqual({ rate: 1, seekS: null });
    expect(play(edge, 0.6)).toEqual({ rate: 1.1, seekS: null });
    expect(play(edge, 0.3)).toEqual({ rate: 1.1, seekS: null }); // until it is there
    expect(play(edge, 0.05)).toEqual({ rate: 1, seekS: null });
    expect(play(edge, 3)).toEqual({ rate: 1, seekS: 12.9 });
  });

  it("goes back to new pictures, and waits where none come", () => {
    expect(new LiveEdge().step(10, 0, 9, 0, true)).toEqual({ rate: 1, seekS: 8.9 });
    expect(new LiveEdge().step(10, 0, 9, 0, false)).toEqual({ rate: 1, seekS: null });
  });

  it("jumps over a hole in the buffer", () => {
    expect(new LiveEdge().step(10, 11, 11.2, 0, true)).toEqual({ rate: 1, seekS: 11.1 });
  });

  it("keeps a greater reserve after stalls, and a smaller one when it runs well", () => {
    const edge = new LiveEdge();
    for (let i = 0; i < 3; i++) edge.stalled(1000);
    expect(play(edge, 0.5, 1000)).toEqual({ rate: 1, seekS: null });
    expect(play(edge, 0.5, 1_000_000).rate).toBe(1);
    for (let i = 1; i < 10; i++) play(edge, 0.1, 1_000_000 + i * 30_000);
    expect(play(edge, 0.6, 2_000_000).rate).toBe(1.1);
    for (let i = 0; i < 100; i++) edge.stalled(3_000_000);
    expect(play(edge, 3, 3_000_000).seekS).toBeNull();
    expect(play(edge, 3.5, 3_000_000).seekS).toBeCloseTo(12.3);
  });
});

describe("a picture of a camera", () => {
  const edge = (link: number | null, ...cameras: string[]): Edge =>
    ({ link_since_ms: link, cameras: cameras.map((camera) => ({ camera })) }) as unknown as Edge;

  it("is taken by the connected device that records it", () => {
    const [off, other, on] = [edge(null, "a/b/c"), edge(5, "a/b/d"), edge(5, "a/b/d", "a/b/c")];
    expect(deviceOf([off, other, on], "a/b/c")).toBe(on);
    expect(deviceOf([off, other], "a/b/c")).toBeNull();
  });

  it("is saved under its camera and its time in UTC", () => {
    expect(fileName("a/b/c", Date.UTC(2026, 10, 30, 14, 5, 6, 7))).toBe(
      "a-b-c-2026-11-30T14-05-06-007Z.jpg",
    );
    expect(fileName("a/b/c", null)).toBe("a-b-c.jpg");
  });
});
