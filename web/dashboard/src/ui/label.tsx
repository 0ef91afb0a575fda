import { colourOf } from "../detections/labels";

/** A label with the colour of its family, or other text about the label. */
export function Label({ name, text }: { name: string; text?: string }) {
  return (
    <span class="label">
      <i class="swatch" style={{ background: colourOf(name) }} aria-hidden="true" />
      {text ?? name}
    </span>
  );
}
