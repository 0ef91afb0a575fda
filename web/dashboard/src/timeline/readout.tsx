import { useEffect, useRef, useState } from "preact/hooks";
import { serverNow } from "../clock";
import { clockTime, fieldMoment, fieldValue, shortDate, type Zone, zoneLabel } from "../format";
import { type Store, useStore } from "../store";

interface Props {
  readonly playhead: Store<number | null>;
  readonly zone: Zone;
  onSeek(ms: number): void;
}

/** The time of the picture; a click lets one type another. */
export function Readout({ playhead, zone, onSeek }: Props) {
  const ms = useStore(playhead);
  const [open, setOpen] = useState(false);
  if (ms === null) return <div class="readout" />;
  return (
    <div class="readout">
      <button
        type="button"
        class="quiet"
        title="Go to a time"
        aria-expanded={open}
        data-testid="readout"
        onClick={() => setOpen(!open)}
      >
        <span class="readout-date">{shortDate(ms, zone)}</span>
        <time class="readout-time" dateTime={new Date(ms).toISOString()}>
          {clockTime(ms, zone)}
        </time>
        <span class="zone">{zoneLabel(ms, zone)}</span>
      </button>
      {open && (
        <GoTo
          startMs={ms}
          zone={zone}
          onGo={(wish) => {
            setOpen(false);
            onSeek(wish);
          }}
          onClose={() => setOpen(false)}
        />
      )}
    </div>
  );
}

interface GoToProps {
  readonly startMs: number;
  readonly zone: Zone;
  onGo(ms: number): void;
  onClose(): void;
}

function GoTo({ startMs, zone, onGo, onClose }: GoToProps) {
  const field = useRef<HTMLInputElement>(null);
  const [value, setValue] = useState(fieldValue(startMs, zone));
  const wish = fieldMoment(value, zone);
  useEffect(() => field.current?.focus(), []);
  return (
    <form
      class="go-to"
      onSubmit={(event) => {
        event.preventDefault();
        if (wish !== null) onGo(Math.min(wish, serverNow()));
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <input
        ref={field}
        type="datetime-local"
        step={1}
        aria-label={`Time in ${zone.name}`}
        value={value}
        max={fieldValue(serverNow(), zone)}
        onInput={(event) => setValue(event.currentTarget.value)}
      />
      <span class="zone">{zoneLabel(wish ?? startMs, zone)}</span>
      <button type="submit" class="button" disabled={wish === null}>
        Go
      </button>
    </form>
  );
}
