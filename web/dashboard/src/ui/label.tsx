import { colourOf } from "../detections/labels";

/** A label with the colour of its family, or other words about the label. */
export function Label({ name, words }: { name: string; words?: string }) {
  return (
    <span class="label">
      <i class="swatch" style={{ background: colourOf(name) }} aria-hidden="true" />
      {words ?? name}
    </span>
  );
}
