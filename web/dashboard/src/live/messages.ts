/** Reads the messages of a live picture: docs/design/edge-link.md has their form. Pure. */

export interface Format {
  readonly kind: "format";
  /** RFC 6381, as `MediaSource.isTypeSupported` takes it. */
  readonly codecs: string;
  readonly width: number;
  readonly height: number;
  /** What people must know of the picture, such as that it is not the stream they asked for. */
  readonly note: string;
}

export interface Init {
  readonly kind: "init";
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface Media {
  readonly kind: "media";
  readonly keyframe: boolean;
  /** UTC of its first picture. */
  readonly utcMs: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** One object in one picture. */
export interface LiveObject {
  readonly label: string;
  readonly score: number;
  readonly box: [number, number, number, number];
  readonly track?: string | null;
}

export interface LiveDetections {
  readonly kind: "detections";
  readonly frames: readonly { readonly at_ms: number; readonly objects: readonly LiveObject[] }[];
}

export interface End {
  readonly kind: "end";
  readonly reason: string;
}

export type LiveMessage = Format | Init | Media | LiveDetections | End;

const HEAD_BYTES = 9;

/** The message; null for one that a newer server sends and this page does not know. */
export function parseMessage(data: string | ArrayBuffer): LiveMessage | null {
  if (typeof data === "string") return parseText(data);
  const view = new DataView(data);
  if (view.byteLength === 0) return null;
  const kind = view.getUint8(0);
  if (kind === 1) return { kind: "init", bytes: new Uint8Array(data, 1) };
  if ((kind !== 2 && kind !== 3) || view.byteLength <= HEAD_BYTES) return null;
  const utcMs = Number(view.getBigUint64(1));
  return { kind: "media", keyframe: kind === 2, utcMs, bytes: new Uint8Array(data, HEAD_BYTES) };
}

function parseText(text: string): LiveMessage | null {
  try {
    const message = JSON.parse(text) as Record<string, unknown>;
    switch (message.type) {
      case "format": {
        const { codecs, width, height, note } = message;
        if (typeof codecs !== "string") return null;
        return {
          kind: "format",
          codecs,
          width: Number(width),
          height: Number(height),
          note: String(note ?? ""),
        };
      }
      case "detections":
        return Array.isArray(message.frames)
          ? { kind: "detections", frames: message.frames as LiveDetections["frames"] }
          : null;
      case "end":
        return { kind: "end", reason: String(message.reason ?? "") };
    }
  } catch {
    // Not JSON: the same as an unknown message.
  }
  return null;
}

/** When a media segment is shown, in seconds of its own timeline. */
export interface SegmentTime {
  readonly startS: number;
  readonly durationS: number;
}

/** Ticks a second of the first track, which is the video; null if it cannot be read. */
export function timescaleOf(init: Uint8Array<ArrayBuffer>): number | null {
  const view = viewOf(init);
  const header = boxAt(view, ["moov", "trak", "mdia", "mdhd"]);
  if (!header) return null;
  const isLong = view.getUint8(header.start) === 1;
  return view.getUint32(header.start + (isLong ? 20 : 12)) || null;
}

/** The time of the first track of a media segment; null if it cannot be read. */
export function segmentTime(
  segment: Uint8Array<ArrayBuffer>,
  timescale: number,
): SegmentTime | null {
  const view = viewOf(segment);
  try {
    const decode = boxAt(view, ["moof", "traf", "tfdt"]);
    const run = boxAt(view, ["moof", "traf", "trun"]);
    if (!decode || !run) return null;
    const isLong = view.getUint8(decode.start) === 1;
    const at = isLong
      ? Number(view.getBigUint64(decode.start + 4))
      : view.getUint32(decode.start + 4);
    const flags = view.getUint32(run.start) & 0xffffff;
    const samples = view.getUint32(run.start + 4);
    const first = run.start + 8 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0);
    const [hasDuration, hasSize, hasFlags, hasOffset] = [0x100, 0x200, 0x400, 0x800].map((bit) =>
      Boolean(flags & bit),
    );
    const size = [hasDuration, hasSize, hasFlags, hasOffset].filter(Boolean).length * 4;
    let ticks = 0;
    for (let i = 0; hasDuration && i < samples; i++) ticks += view.getUint32(first + i * size);
    const shift = hasOffset && samples > 0 ? view.getInt32(first + size - 4) : 0;
    return { startS: (at + shift) / timescale, durationS: ticks / timescale };
  } catch {
    return null; // cut off
  }
}

interface Box {
  /** Where its content begins. */
  readonly start: number;
  readonly end: number;
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The first box of each name, one within the other. */
function boxAt(view: DataView, path: readonly string[]): Box | null {
  let within: Box = { start: 0, end: view.byteLength };
  for (const name of path) {
    const found = find(view, within, name);
    if (!found) return null;
    within = found;
  }
  return within;
}

function find(view: DataView, within: Box, name: string): Box | null {
  for (let at = within.start; at + 8 <= within.end; ) {
    const size = view.getUint32(at);
    const type = String.fromCharCode(...[4, 5, 6, 7].map((offset) => view.getUint8(at + offset)));
    if (size < 8 || at + size > view.byteLength) return null;
    if (type === name) return { start: at + 8, end: at + size };
    at += size;
  }
  return null;
}
