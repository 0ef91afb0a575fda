/** Paints the timeline. */
import type { Gap } from "../api/types";
import { colourOf, FAMILIES, type Family, familyOf } from "../detections/labels";
import {
  clockTime,
  hourMinute,
  preciseTime,
  shortDate,
  type Zone,
  zoneOffsetMinutes,
} from "../format";
import type { Slice } from "./data";
import { spanOf, tickStep, ticks, type View, xOf } from "./scale";

export const TIMELINE_HEIGHT = 116;
const AXIS_HEIGHT = 24;
const LANES_TOP = AXIS_HEIGHT + 6;
const LANE_HEIGHT = 10;
const LANE_GAP = 1;
const BAND_TOP = LANES_TOP + FAMILIES.length * (LANE_HEIGHT + LANE_GAP) + 5;
const BAND_HEIGHT = 16;
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

export interface Palette {
  readonly ground: string;
  readonly lane: string;
  readonly recorded: string;
  readonly gap: string;
  readonly gapLine: string;
  readonly line: string;
  readonly text: string;
  readonly strong: string;
  readonly accent: string;
}

/** The colours of the page's theme, read from its style sheet. */
export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return {
    ground: value("--timeline-ground"),
    lane: value("--timeline-lane"),
    recorded: value("--timeline-recorded"),
    gap: value("--timeline-gap"),
    gapLine: value("--timeline-gap-line"),
    line: value("--line"),
    text: value("--text-soft"),
    strong: value("--text"),
    accent: value("--accent"),
  };
}

export interface Scene {
  readonly view: View;
  readonly slices: readonly Slice[];
  readonly playheadMs: number | null;
  readonly hoverMs: number | null;
  readonly nowMs: number;
  readonly zone: Zone;
  readonly hidden: ReadonlySet<string>;
  readonly palette: Palette;
}

export function drawTimeline(canvas: HTMLCanvasElement, scene: Scene): void {
  const context = canvas.getContext("2d");
  const width = canvas.clientWidth;
  if (!context || !width) return;
  const density = Math.min(3, window.devicePixelRatio || 1);
  const pixelWidth = Math.round(width * density);
  const pixelHeight = Math.round(TIMELINE_HEIGHT * density);
  if (canvas.width !== pixelWidth) canvas.width = pixelWidth;
  if (canvas.height !== pixelHeight) canvas.height = pixelHeight;
  context.setTransform(density, 0, 0, density, 0, 0);
  const { palette, view } = scene;
  context.fillStyle = palette.ground;
  context.fillRect(0, 0, width, TIMELINE_HEIGHT);

  drawGround(context, width, scene);
  for (const slice of scene.slices) drawSlice(context, width, scene, slice);
  drawAxis(context, width, scene);
  drawMark(context, xOf(view, width, scene.nowMs), palette.text, true);
  if (scene.hoverMs !== null) {
    drawMark(context, xOf(view, width, scene.hoverMs), palette.strong, false);
  }
  if (scene.playheadMs !== null) {
    drawPlayhead(context, xOf(view, width, scene.playheadMs), width, palette.accent);
  }
}

function drawGround(context: CanvasRenderingContext2D, width: number, scene: Scene): void {
  const end = Math.min(width, xOf(scene.view, width, scene.nowMs));
  if (end <= 0) return;
  context.fillStyle = scene.palette.lane;
  FAMILIES.forEach((_family, lane) => {
    context.fillRect(0, laneTop(lane), end, LANE_HEIGHT);
  });
  context.fillRect(0, BAND_TOP, end, BAND_HEIGHT);
}

function laneTop(lane: number): number {
  return LANES_TOP + lane * (LANE_HEIGHT + LANE_GAP);
}

function drawSlice(
  context: CanvasRenderingContext2D,
  width: number,
  scene: Scene,
  { fromMs, toMs, answer }: Slice,
): void {
  if (!answer) return;
  const { view, palette } = scene;
  const left = Math.max(0, xOf(view, width, fromMs));
  const right = Math.min(width, xOf(view, width, toMs));
  if (right <= left) return;
  context.save();
  context.beginPath();
  // Whole pixels, so that no seam shows between tiles.
  context.rect(Math.floor(left), 0, Math.ceil(right) - Math.floor(left), TIMELINE_HEIGHT);
  context.clip();
  context.fillStyle = palette.recorded;
  for (const [startMs, endMs] of answer.covered) {
    const x = xOf(view, width, startMs);
    const wide = Math.max(1, xOf(view, width, endMs) - x);
    if (x < width && x + wide > 0) context.fillRect(x, BAND_TOP, wide, BAND_HEIGHT);
  }
  for (const gap of answer.gaps) drawGap(context, width, scene, gap);
  // The bucket that is still filling reaches into the future; what is drawn does not.
  context.beginPath();
  context.rect(0, 0, xOf(view, width, scene.nowMs), TIMELINE_HEIGHT);
  context.clip();
  drawDetections(context, width, scene, answer.detections, answer.bucket_ms);
  context.restore();
}

function drawGap(
  context: CanvasRenderingContext2D,
  width: number,
  { view, palette }: Scene,
  gap: Gap,
): void {
  const from = Math.max(-8, xOf(view, width, gap.from_ms));
  const to = Math.min(width + 8, xOf(view, width, gap.to_ms));
  if (to <= 0 || from >= width) return;
  const wide = Math.max(2, to - from);
  context.save();
  context.beginPath();
  context.rect(from, BAND_TOP, wide, BAND_HEIGHT);
  context.clip();
  context.fillStyle = palette.gap;
  context.fillRect(from, BAND_TOP, wide, BAND_HEIGHT);
  context.strokeStyle = palette.gapLine;
  context.lineWidth = 1.5;
  context.beginPath();
  // The hatching is tied to the time, so that it moves along when the view is dragged.
  const phase = from - (((from - xOf(view, width, gap.from_ms)) % 7) + 7);
  for (let x = phase - BAND_HEIGHT; x < from + wide; x += 7) {
    context.moveTo(x, BAND_TOP + BAND_HEIGHT);
    context.lineTo(x + BAND_HEIGHT, BAND_TOP);
  }
  context.stroke();
  context.restore();
}

function drawDetections(
  context: CanvasRenderingContext2D,
  width: number,
  { view, hidden }: Scene,
  detections: readonly { at_ms: number; label: string; count: number }[],
  bucketMs: number,
): void {
  const most = new Map<Family, number>();
  for (const { label, count } of detections) {
    const family = familyOf(label);
    if (count > (most.get(family) ?? 0)) most.set(family, count);
  }
  const wide = Math.max(2, (bucketMs / spanOf(view)) * width - 1);
  for (const { at_ms, label, count } of detections) {
    if (hidden.has(label)) continue;
    const x = xOf(view, width, at_ms);
    if (x > width || x + wide < 0) continue;
    const family = familyOf(label);
    const share = count / (most.get(family) || 1);
    context.globalAlpha = 0.45 + 0.55 * Math.sqrt(share);
    context.fillStyle = colourOf(label);
    const high = 3 + Math.round((LANE_HEIGHT - 3) * Math.sqrt(share));
    context.fillRect(x, laneTop(FAMILIES.indexOf(family)) + LANE_HEIGHT - high, wide, high);
  }
  context.globalAlpha = 1;
}

function drawAxis(context: CanvasRenderingContext2D, width: number, scene: Scene): void {
  const { view, palette, zone } = scene;
  const offset = zoneOffsetMinutes(view.toMs, zone) * 60_000;
  const step = tickStep(view, width, 86);
  context.font = FONT;
  context.textBaseline = "middle";
  let free = 0;
  for (const ms of ticks(view, step, offset)) {
    const x = Math.round(xOf(view, width, ms)) + 0.5;
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, AXIS_HEIGHT - 4);
    context.lineTo(x, TIMELINE_HEIGHT);
    context.stroke();
    const text = tickText(ms, step, zone, offset);
    const half = context.measureText(text).width / 2;
    const left = Math.max(2, x - half);
    if (left < free || left + half * 2 > width) continue;
    context.fillStyle = palette.text;
    context.fillText(text, left, AXIS_HEIGHT / 2 - 1);
    free = left + half * 2 + 12;
  }
}

function tickText(ms: number, stepMs: number, zone: Zone, offsetMs: number): string {
  const ofDay = (((ms + offsetMs) % 86_400_000) + 86_400_000) % 86_400_000;
  if (stepMs >= 86_400_000 || (ofDay === 0 && stepMs >= 60_000)) return shortDate(ms, zone);
  if (stepMs < 1000) return preciseTime(ms, zone);
  return stepMs < 60_000 ? clockTime(ms, zone) : hourMinute(ms, zone);
}

function drawMark(
  context: CanvasRenderingContext2D,
  at: number,
  colour: string,
  dashed: boolean,
): void {
  const x = Math.round(at) + 0.5;
  context.save();
  context.strokeStyle = colour;
  context.globalAlpha = dashed ? 0.8 : 0.7;
  context.lineWidth = 1;
  if (dashed) context.setLineDash([2, 3]);
  context.beginPath();
  context.moveTo(x, AXIS_HEIGHT);
  context.lineTo(x, TIMELINE_HEIGHT);
  context.stroke();
  context.restore();
}

function drawPlayhead(
  context: CanvasRenderingContext2D,
  at: number,
  width: number,
  colour: string,
): void {
  if (at < -6 || at > width + 6) return;
  const x = Math.round(at);
  context.fillStyle = colour;
  context.fillRect(x - 1, AXIS_HEIGHT - 2, 2, TIMELINE_HEIGHT);
  context.beginPath();
  context.moveTo(x - 6, AXIS_HEIGHT - 6);
  context.lineTo(x + 6, AXIS_HEIGHT - 6);
  context.lineTo(x + 6, AXIS_HEIGHT - 1);
  context.lineTo(x, AXIS_HEIGHT + 6);
  context.lineTo(x - 6, AXIS_HEIGHT - 1);
  context.closePath();
  context.fill();
}
