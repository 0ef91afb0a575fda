/** Draws boxes over the picture. */
import { colourOf } from "../detections/labels";
import type { Shown } from "../detections/nearest";
import { trackName } from "../detections/track-name";
import { type Area, contained, placeTag } from "./tags";

const FONT = '600 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const TAG_HEIGHT = 16;
const TAG_PADDING = 4;
/** On a picture narrower than this whole tags would hide the people: they say the score only. */
const NARROW_PX = 560;

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
    const picture = contained(outerWidth, outerHeight, video.videoWidth, video.videoHeight);
    const placed = shown.map((one) => ({ one, area: areaOf(picture, one) }));
    for (const { one, area } of placed) {
      drawBox(context, area, colourOf(one.label));
      drawn++;
    }
    // The surest get their tags first; in a crowd some of the others go without.
    placed.sort((a, b) => b.one.score - a.one.score);
    drawTags(context, picture, placed);
  }
  canvas.dataset.boxes = String(drawn);
  canvas.dataset.at = atMs === null ? "" : String(Math.round(atMs));
}

function areaOf(picture: Area, { box: [left, top, width, height] }: Shown): Area {
  return {
    x: Math.round(picture.x + left * picture.width),
    y: Math.round(picture.y + top * picture.height),
    width: Math.round(width * picture.width),
    height: Math.round(height * picture.height),
  };
}

function drawBox(context: CanvasRenderingContext2D, area: Area, colour: string): void {
  const { x, y, width, height } = area;
  context.lineWidth = 4;
  context.strokeStyle = "rgb(0 0 0 / 0.5)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.strokeRect(x, y, width, height);
}

function drawTags(
  context: CanvasRenderingContext2D,
  picture: Area,
  placed: readonly { one: Shown; area: Area }[],
): void {
  context.font = FONT;
  context.textBaseline = "middle";
  const taken: Area[] = [];
  for (const { one, area } of placed) {
    const text = tagText(one, picture.width >= NARROW_PX);
    const width = Math.ceil(context.measureText(text).width) + 2 * TAG_PADDING;
    const tag = placeTag(area, width, TAG_HEIGHT, picture, taken);
    if (!tag) continue;
    taken.push(tag);
    context.fillStyle = colourOf(one.label);
    context.fillRect(tag.x, tag.y, tag.width, tag.height);
    context.fillStyle = "#10141a";
    context.fillText(text, tag.x + TAG_PADDING, tag.y + TAG_HEIGHT / 2 + 0.5);
  }
}

function tagText({ label, score, track }: Shown, isWide: boolean): string {
  if (!isWide) return score.toFixed(2);
  const sure = `${label} ${score.toFixed(2)}`;
  return track === null ? sure : `${sure} #${trackName(track)}`;
}
