/** Draws boxes over the picture. */

import { colourOf } from "../detections/labels";
import type { Shown } from "../detections/nearest";

interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where a picture of the given size lies inside an element that shows all of it. */
export function contained(
  outerWidth: number,
  outerHeight: number,
  width: number,
  height: number,
): Rect {
  const scale = Math.min(outerWidth / width, outerHeight / height);
  const shownWidth = width * scale;
  const shownHeight = height * scale;
  return {
    x: (outerWidth - shownWidth) / 2,
    y: (outerHeight - shownHeight) / 2,
    width: shownWidth,
    height: shownHeight,
  };
}

const FONT = '600 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const TAG_HEIGHT = 18;

/** Draws the boxes and says in `data-boxes` how many were drawn, in `data-at` for which moment. */
export function drawBoxes(
  canvas: HTMLCanvasElement,
  video: HTMLVideoElement,
  shown: readonly Shown[],
  atMs: number | null,
): void {
  const context = canvas.getContext("2d");
  const outerWidth = canvas.clientWidth;
  const outerHeight = canvas.clientHeight;
  if (!context || !outerWidth || !outerHeight) return;
  const density = Math.min(2, window.devicePixelRatio || 1);
  const pixelWidth = Math.round(outerWidth * density);
  const pixelHeight = Math.round(outerHeight * density);
  if (canvas.width !== pixelWidth) canvas.width = pixelWidth;
  if (canvas.height !== pixelHeight) canvas.height = pixelHeight;
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, outerWidth, outerHeight);
  let drawn = 0;
  if (video.videoWidth && video.videoHeight) {
    const area = contained(outerWidth, outerHeight, video.videoWidth, video.videoHeight);
    context.font = FONT;
    context.textBaseline = "middle";
    for (const one of shown) {
      drawBox(context, area, one);
      drawn++;
    }
  }
  canvas.dataset.boxes = String(drawn);
  canvas.dataset.at = atMs === null ? "" : String(Math.round(atMs));
}

function drawBox(context: CanvasRenderingContext2D, area: Rect, one: Shown): void {
  const [left, top, wide, high] = one.box;
  const x = Math.round(area.x + left * area.width);
  const y = Math.round(area.y + top * area.height);
  const width = Math.round(wide * area.width);
  const height = Math.round(high * area.height);
  const colour = colourOf(one.label);
  context.lineWidth = 4;
  context.strokeStyle = "rgb(0 0 0 / 0.55)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.strokeRect(x, y, width, height);

  const text = tagText(one, width);
  const tagWidth = Math.ceil(context.measureText(text).width) + 10;
  const above = y - TAG_HEIGHT - 1 >= area.y;
  const tagX = Math.max(area.x, Math.min(x - 1, area.x + area.width - tagWidth));
  const tagY = above ? y - TAG_HEIGHT - 1 : y + 1;
  context.fillStyle = colour;
  context.fillRect(tagX, tagY, tagWidth, TAG_HEIGHT);
  context.fillStyle = "#10141a";
  context.fillText(text, tagX + 5, tagY + TAG_HEIGHT / 2 + 0.5);
}

function tagText(one: Shown, boxWidth: number): string {
  const score = `${Math.round(one.score * 100)} %`;
  // A narrow box far away keeps its tag short, so that tags of a crowd do not hide the crowd.
  if (boxWidth < 28) return score;
  return one.track === null
    ? `${one.label} ${score}`
    : `${one.label} ${score} #${shortTrack(one.track)}`;
}

function shortTrack(track: string | number): string {
  const text = String(track);
  return text.length > 6 ? text.slice(-4) : text;
}
