import { memo } from "preact/compat";
import type { Sighting } from "../detections/sightings";
import { clockTime, hourMinute, shortDate, span, type Zone, zoneLabel } from "../format";
import { type Store, useStore } from "../store";
import { Label } from "../ui/label";
import { countText } from "../ui/text";
import type { SightingList } from "./sighting-list";
import { SightingPicture } from "./sighting-picture";

interface Props {
  readonly cameraId: string;
  readonly list: SightingList;
  readonly hidden: ReadonlySet<string>;
  readonly playing: Store<Sighting | null>;
  readonly zone: Zone;
  readonly aspect: number;
  onPlay(sighting: Sighting): void;
}

export function Sightings({ cameraId, list, hidden, playing, zone, aspect, onPlay }: Props) {
  const shown = list.sightings.filter(({ label }) => !hidden.has(label));
  const now = useStore(playing);
  let day = "";
  return (
    <section class="sightings" aria-label="Sightings">
      <h2>
        Sightings <span class="zone">{zoneLabel(list.sinceMs, zone)}</span>
      </h2>
      {list.failed && <p class="side-note">Sightings cannot be loaded. Trying again.</p>}
      {!list.loading && !list.failed && shown.length === 0 && (
        <p class="side-note">
          {list.sightings.length > 0
            ? "All sightings have labels that are hidden."
            : `No sightings since ${hourMinute(list.sinceMs, zone)} ${zoneLabel(list.sinceMs, zone)}.`}
        </p>
      )}
      <ul>
        {shown.map((sighting) => {
          const itsDay = shortDate(sighting.fromMs, zone);
          const heading = itsDay === day ? null : itsDay;
          day = itsDay;
          return (
            <Row
              key={`${sighting.label} ${sighting.fromMs}`}
              cameraId={cameraId}
              sighting={sighting}
              heading={heading}
              isPlaying={now?.fromMs === sighting.fromMs && now.label === sighting.label}
              zone={zone}
              aspect={aspect}
              onPlay={onPlay}
            />
          );
        })}
        {list.loading &&
          shown.length === 0 &&
          [0, 1, 2, 3].map((index) => (
            <li key={index} class="sighting">
              <span class="sighting-picture">
                <span class="skeleton" />
              </span>
              <span class="skeleton line" style={{ width: "60%" }} />
            </li>
          ))}
      </ul>
      {list.more && (
        <button type="button" class="button" disabled={list.loading} onClick={list.loadEarlier}>
          {list.loading ? "Loading…" : `Before ${hourMinute(list.sinceMs, zone)}`}
        </button>
      )}
    </section>
  );
}

interface RowProps {
  readonly cameraId: string;
  readonly sighting: Sighting;
  readonly heading: string | null;
  readonly isPlaying: boolean;
  readonly zone: Zone;
  readonly aspect: number;
  onPlay(sighting: Sighting): void;
}

const Row = memo(function Row(props: RowProps) {
  const { cameraId, sighting, heading, isPlaying, zone, aspect, onPlay } = props;
  return (
    <li>
      {heading && <h3>{heading}</h3>}
      <button
        type="button"
        class={isPlaying ? "sighting on" : "sighting"}
        aria-current={isPlaying}
        data-from={sighting.fromMs}
        onClick={() => onPlay(sighting)}
      >
        <SightingPicture id={cameraId} sighting={sighting} aspect={aspect} />
        <span class="sighting-text">
          <Label name={sighting.label} text={countText(sighting.label, sighting.most)} />
          <time dateTime={new Date(sighting.fromMs).toISOString()}>
            {clockTime(sighting.fromMs, zone)}
          </time>
          <span class="sighting-length">{durationText(sighting.toMs - sighting.fromMs)}</span>
        </span>
      </button>
    </li>
  );
});

function durationText(ms: number): string {
  return ms <= 2000 ? "briefly" : `for ${span(ms)}`;
}
