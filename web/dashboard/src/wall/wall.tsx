import { useEffect, useMemo, useState } from "preact/hooks";
import { getCameras } from "../api/client";
import { dated, useServerNow } from "../clock";
import { usePolled } from "../poll";
import { type Density, density } from "../prefs";
import { whyOf } from "../sites/health";
import { useEdges } from "../sites/use-edges";
import { useStore } from "../store";
import { Search } from "../ui/icons";
import { Outdated, Trouble } from "../ui/trouble";
import { useZone } from "../zone";
import { arrange, commonAspect, matches, troubled } from "./order";
import { Tile } from "./tile";

const POLL_MS = 2000;
const PICTURE_WIDTH: Record<Density, number> = { large: 960, medium: 640, small: 320 };
const DENSITIES: readonly [Density, string][] = [
  ["large", "Large"],
  ["medium", "Medium"],
  ["small", "Small"],
];

const askCameras = dated(getCameras);

export function Wall() {
  const { value, error, retry } = usePolled(askCameras, POLL_MS, "cameras");
  const [filter, setFilter] = useState("");
  const size = useStore(density);
  const zone = useZone();
  const nowMs = useServerNow();

  useEffect(() => {
    document.title = "Wall · Vigil";
  }, []);

  const cameras = useMemo(() => arrange(value?.cameras ?? []), [value]);
  const shown = cameras.filter((camera) => matches(camera, filter));
  const aspect = commonAspect(cameras);
  const problems = troubled(cameras);
  const edges = useEdges(cameras.some(({ state }) => state !== "recording"));

  return (
    <main class="wall">
      <div class="wall-head">
        <h1>Cameras</h1>
        <p class="wall-summary" role="status">
          {value && cameras.length > 0 && <Summary all={cameras.length} problems={problems} />}
        </p>
        <label class="search">
          <Search />
          <span class="hidden">Filter cameras</span>
          <input
            type="search"
            placeholder="Filter"
            title="By name, site, state or what was seen"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
        <fieldset class="segmented" aria-label="Size of the pictures">
          {DENSITIES.map(([choice, name]) => (
            <button
              type="button"
              key={choice}
              class={choice === size ? "on" : ""}
              aria-pressed={choice === size}
              onClick={() => density.set(choice)}
            >
              {name}
            </button>
          ))}
        </fieldset>
      </div>

      {value === null && error && (
        <Trouble
          title="The cameras could not be fetched"
          detail={error.message}
          action="Try now"
          onAction={retry}
        />
      )}
      {value === null && !error && <Skeletons size={size} />}
      {value && cameras.length === 0 && (
        <Trouble
          title="No cameras yet"
          detail="A camera appears here by itself as soon as its edge device has sent the first footage. Check on the device with “vigil edge check”."
        />
      )}
      {cameras.length > 0 && shown.length === 0 && (
        <Trouble
          title={`Nothing matches “${filter.trim()}”`}
          detail={`${cameras.length} cameras are hidden by the filter.`}
          action="Clear the filter"
          onAction={() => setFilter("")}
        />
      )}
      <div class={`tiles ${size}`} style={{ "--aspect": String(aspect) }}>
        {shown.map((camera) => (
          <Tile
            key={camera.id}
            camera={camera}
            nowMs={nowMs}
            zone={zone}
            pictureWidth={PICTURE_WIDTH[size]}
            why={whyOf(camera, edges, nowMs)}
          />
        ))}
      </div>
      {value && error && <Outdated error={error} knownMs={value.now_ms} zone={zone} />}
    </main>
  );
}

function Summary({ all, problems }: { all: number; problems: number }) {
  const cameras = all === 1 ? "1 camera" : `${all} cameras`;
  if (problems === 0) return <>{cameras}, all well</>;
  return (
    <>
      {cameras}, <b class="warn">{problems === 1 ? "1 needs" : `${problems} need`} a look</b>
    </>
  );
}

function Skeletons({ size }: { size: Density }) {
  return (
    <div class={`tiles ${size}`} aria-busy="true" role="status" aria-label="Loading cameras">
      {[0, 1, 2, 3, 4, 5].map((index) => (
        <div class="tile" key={index}>
          <div class="tile-picture">
            <div class="skeleton" />
          </div>
          <div class="tile-foot">
            <span class="skeleton line" style={{ width: "50%" }} />
            <span />
            <span class="skeleton line" style={{ width: "70%" }} />
          </div>
        </div>
      ))}
    </div>
  );
}
