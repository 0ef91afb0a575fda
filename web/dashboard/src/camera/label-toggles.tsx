import { colourOf } from "../detections/labels";
import { hiddenLabels } from "../prefs";
import { useStore } from "../store";

/** One switch for each label: it rules the boxes, the timeline and the list of sightings. */
export function LabelToggles({ labels }: { labels: readonly string[] }) {
  const hidden = useStore(hiddenLabels);
  return (
    <fieldset class="label-toggles" aria-label="Labels shown">
      {labels.map((label) => {
        const on = !hidden.includes(label);
        return (
          <button
            type="button"
            key={label}
            class={on ? "chip on" : "chip"}
            aria-pressed={on}
            title={on ? `Hide ${label}` : `Show ${label}`}
            onClick={() =>
              hiddenLabels.set(on ? [...hidden, label] : hidden.filter((name) => name !== label))
            }
          >
            <i class="swatch" style={{ background: colourOf(label) }} aria-hidden="true" />
            {label}
          </button>
        );
      })}
      {labels.length === 0 && <span class="side-note">Nothing detected in the time shown</span>}
    </fieldset>
  );
}
