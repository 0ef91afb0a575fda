import { useEffect, useRef, useState } from "preact/hooks";
import { getCameras } from "../api/client";
import type { Camera, CameraEvent, FootageEvent } from "../api/types";
import { CameraStates } from "../camera-states";
import { useServerNow, withServerTime } from "../clock";
import { eventsPath, useLiveEvents } from "../live-events";
import { usePolling } from "../poll";
import { type Density, density } from "../prefs";
import { missingReason } from "../sites/health";
import { useEdges } from "../sites/use-edges";
import { useStore } from "../store";
import { Search } from "../ui/icons";
import { Outdated, Problem } from "../ui/problem";
import { useZone } from "../zone";
import { arrange, commonAspect, matches, problemCount } from "./order";
import { Tile } from "./tile";

const POLL_MS = 2000;
/** While events say what changes: for the labels, and in case one was missed. */
const CALM_POLL_MS = 15_000;
const EVENTS = eventsPath(["camera", "footage"]);
const PICTURE_WIDTH: Record<Density, number> = { large: 960, medium: 640, small: 320 };
const DENSITIES: readonly [Density, string][] = [
  ["large", "Large"],
  ["medium", "Medium"],
  ["small", "Small"],
];

const fetchCameras = withServerTime(getCameras);

export function Wall() {
  const states = useRef(new CameraStates());
  const listed = useRef<readonly Camera[]>([]);
  const [, setEvents] = useState(0);
  const live = useLiveEvents(EVENTS, () => ({
    camera: (event: CameraEvent) => {
      if (states.current.take(event, listed.current) && listed.current.length > 0) retry();
      setEvents((count) => count + 1);
    },
    footage: (event: FootageEvent) => {
      states.current.takeFootage(event);
      setEvents((count) => count + 1);
    },
  }));
  const { value, error, retry } = usePolling(
    fetchCameras,
    live ? CALM_POLL_MS : POLL_MS,
    "cameras",
  );
  listed.current = value?.cameras ?? [];
  const [filter, setFilter] = useState("");
  const size = useStore(density);
  const zone = useZone();
  const nowMs = useServerNow();

  useEffect(() => {
    document.title = "Wall · Vigil";
  }, []);

  const cameras = value ? arrange(states.current.applied(value.cameras, value.now_ms)) : [];
  const shown = cameras.filter((camera) => matches(camera, filter));
  const aspect = commonAspect(cameras);
  const problems = problemCount(cameras);
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
            title="By name, site, state or label"
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
        <Problem
          title="Cameras cannot be loaded"
          detail={error.message}
          action="Try now"
          onAction={retry}
        />
      )}
      {value === null && !error && <Skeletons size={size} />}
      {value && cameras.length === 0 && (
        <Problem
          title="No cameras yet"
          detail="A camera appears here when its edge device has sent the first footage. To check the device, run “vigil edge check” on it."
        />
      )}
      {cameras.length > 0 && shown.length === 0 && (
        <Problem
          title={`No camera matches “${filter.trim()}”`}
          detail={`The filter hides ${cameras.length} cameras.`}
          action="Clear filter"
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
            reason={missingReason(camera, edges, nowMs)}
          />
        ))}
      </div>
      {value && error && <Outdated error={error} knownMs={value.now_ms} zone={zone} />}
    </main>
  );
}

function Summary({ all, problems }: { all: number; problems: number }) {
  const cameras = all === 1 ? "1 camera" : `${all} cameras`;
  if (problems === 0) return <>{cameras}, no problems</>;
  return (
    <>
      {cameras}, <b class="warn">{problems === 1 ? "1 problem" : `${problems} problems`}</b>
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
