import { memo } from "preact/compat";
import type { Camera } from "../api/types";
import { compareLabels } from "../detections/labels";
import type { Zone } from "../format";
import { cameraPath, follow } from "../router";
import { Label } from "../ui/label";
import { Age, StateBadge } from "../ui/state";
import { STATE_TEXT } from "../ui/text";
import { LivePicture } from "./live-picture";
import { NewestPicture } from "./picture";

interface Props {
  readonly camera: Camera;
  readonly nowMs: number;
  readonly zone: Zone;
  readonly pictureWidth: number;
  /** Why its footage is missing, where its device reports it. */
  readonly reason: string | null;
}

const MOST_LABELS = 3;

export const Tile = memo(function Tile({ camera, nowMs, zone, pictureWidth, reason }: Props) {
  const labels = camera.labels_recent.map(({ label }) => label).sort(compareLabels);
  const more = labels.length - MOST_LABELS;
  return (
    <a
      class={`tile ${camera.state}`}
      href={cameraPath(camera.id)}
      onClick={follow}
      aria-label={`${camera.name}, ${camera.site}: ${STATE_TEXT[camera.state]}`}
      data-camera={camera.id}
    >
      <div class="tile-picture">
        <NewestPicture
          id={camera.id}
          width={pictureWidth}
          lastMs={camera.last_ms}
          alt={`Newest picture of ${camera.name}`}
        />
        {camera.state === "recording" && (
          <LivePicture id={camera.id} alt={`Live picture of ${camera.name}`} />
        )}
        <div class="tile-labels">
          {labels.slice(0, MOST_LABELS).map((name) => (
            <Label key={name} name={name} />
          ))}
          {more > 0 && <span class="label">+{more}</span>}
        </div>
      </div>
      <div class="tile-foot">
        <span class="tile-name">{camera.name}</span>
        <span class="tile-site">{camera.site}</span>
        <StateBadge camera={camera} nowMs={nowMs} zone={zone} />
        {camera.last_ms !== null && <Age ms={camera.last_ms} nowMs={nowMs} zone={zone} />}
        {reason && (
          <span class="tile-reason" title={reason}>
            {reason}
          </span>
        )}
      </div>
    </a>
  );
});
