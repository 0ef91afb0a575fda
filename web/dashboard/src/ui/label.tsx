import { colourOf } from "../detections/labels";

/** A label with the colour of its family. */
export function Label({ name }: { name: string }) {
  return (
    <span class="label">
      <i class="swatch" style={{ background: colourOf(name) }} aria-hidden="true" />
      {name}
    </span>
  );
}
