import { useEffect, useRef } from "preact/hooks";
import { getEdges } from "../api/client";
import type { Edge, Edges, Limits } from "../api/types";
import { useServerNow, withServerTime } from "../clock";
import { bytesText, roughSpan, type Zone } from "../format";
import { eventsPath, useLiveEvents } from "../live-events";
import { usePolling } from "../poll";
import { cameraPath, follow } from "../router";
import { Fact } from "../ui/fact";
import { Outdated, Problem } from "../ui/problem";
import { momentText } from "../ui/state";
import { useZone } from "../zone";
import { DeviceCommands } from "./commands";
import { Devices } from "./devices";
import { isSilent, notRecorded, problemsOf, waitingMs } from "./health";

const POLL_MS = 3000;
/** While events say what changes: for the numbers that change all the time. */
const CALM_POLL_MS = 10_000;
const EVENTS = eventsPath(["device"]);

const fetchEdges = withServerTime(getEdges);

/** The edge devices and their problems. */
export function Sites() {
  const asked = useRef(false);
  const live = useLiveEvents(EVENTS, () => ({
    // The first event lists what the page has asked for anyway.
    device: () => {
      if (asked.current) retry();
      asked.current = true;
    },
  }));
  const { value, error, retry } = usePolling(fetchEdges, live ? CALM_POLL_MS : POLL_MS, "edges");
  const zone = useZone();
  const nowMs = useServerNow();

  useEffect(() => {
    document.title = "Sites · Vigil";
  }, []);

  const edges = value === null ? [] : arrange(value, nowMs);
  const withProblems = value
    ? edges.filter((edge) => problemsOf(edge, nowMs, value.limits).length > 0).length
    : 0;
  return (
    <main class="wall">
      <div class="wall-head">
        <h1>Sites</h1>
        <p class="wall-summary" role="status">
          {edges.length > 0 && (
            <>
              {edges.length === 1 ? "1 edge device" : `${edges.length} edge devices`},{" "}
              {withProblems === 0 ? (
                "no problems"
              ) : (
                <b class="warn">
                  {withProblems === 1 ? "1 with problems" : `${withProblems} with problems`}
                </b>
              )}
            </>
          )}
        </p>
      </div>
      {value === null && error && (
        <Problem
          title="Sites cannot be loaded"
          detail={error.message}
          action="Try now"
          onAction={retry}
        />
      )}
      {value === null && !error && (
        <div class="edges" aria-busy="true" role="status" aria-label="Loading sites">
          <div class="edge">
            <span class="skeleton line" style={{ width: "40%" }} />
            <span class="skeleton line" style={{ width: "70%" }} />
          </div>
        </div>
      )}
      {value && edges.length === 0 && (
        <Problem
          title="No edge devices yet"
          detail="An edge device appears here with its first heartbeat. To check the device, run “vigil edge check” on it."
        />
      )}
      <div class="edges">
        {value &&
          edges.map((edge) => (
            <Device
              key={`${edge.site} ${edge.edge}`}
              edge={edge}
              nowMs={nowMs}
              limits={value.limits}
              zone={zone}
            />
          ))}
      </div>
      {value && <Devices />}
      {value && error && <Outdated error={error} knownMs={value.now_ms} zone={zone} />}
    </main>
  );
}

/** Devices with problems first, then by site and name. */
function arrange({ edges, limits }: Edges, nowMs: number): Edge[] {
  return [...edges].sort(
    (a, b) =>
      rank(a, nowMs, limits) - rank(b, nowMs, limits) ||
      a.site.localeCompare(b.site) ||
      a.edge.localeCompare(b.edge, undefined, { numeric: true }),
  );
}

const WELL = 2;

function rank(edge: Edge, nowMs: number, limits: Limits): number {
  const problems = problemsOf(edge, nowMs, limits);
  if (problems.some(({ severe }) => severe)) return 0;
  return problems.length > 0 ? 1 : WELL;
}

const RANKS = [
  ["offline", "Problem"],
  ["late", "Warning"],
  ["recording", "OK"],
] as const;

interface DeviceProps {
  readonly edge: Edge;
  readonly nowMs: number;
  readonly limits: Limits;
  readonly zone: Zone;
}

function Device({ edge, nowMs, limits, zone }: DeviceProps) {
  const problems = problemsOf(edge, nowMs, limits);
  const [colour, text] = RANKS[rank(edge, nowMs, limits)] ?? RANKS[WELL];
  const silent = isSilent(edge, nowMs, limits);
  const off = notRecorded(edge);
  const recorded = edge.cameras.length - off.length;
  return (
    <article class={`edge ${colour}`} data-edge={`${edge.site}/${edge.edge}`}>
      <header>
        <h2>{edge.site.replace("/", " / ")}</h2>
        <span class="tile-site">{edge.edge}</span>
        <span class={`state ${colour}`}>
          <i class="dot" aria-hidden="true" />
          {silent ? `Silent since ${momentText(edge.heard_ms, nowMs, zone)}` : text}
        </span>
      </header>
      {problems.length > 0 && (
        <ul class="edge-problems">
          {problems.map(({ text: problem }) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      {off.length > 0 && !silent && (
        <ul class="edge-cameras">
          {off.map(({ camera, state, since_ms, detail }) => (
            <li key={camera}>
              <a href={cameraPath(camera)} onClick={follow}>
                {camera.split("/").pop()}
              </a>{" "}
              {state} since {momentText(since_ms, nowMs, zone)}
              {detail && `: ${detail}`}
            </li>
          ))}
        </ul>
      )}
      <dl class={silent ? "edge-facts old" : "edge-facts"}>
        <Fact name="Last heartbeat">{`${roughSpan(nowMs - edge.heard_ms)} ago`}</Fact>
        <Fact name="Cameras recording">{`${recorded} of ${edge.cameras.length}`}</Fact>
        <Fact name="Waiting for upload">{waitingText(edge)}</Fact>
        <Fact name="Footage on device">{bytesText(edge.spool_bytes)}</Fact>
        <Fact name="Free disk space">{bytesText(edge.disk_free_bytes)}</Fact>
        <Fact name="Clock">{clockText(edge)}</Fact>
        <Fact name="Configuration">{configurationText(edge)}</Fact>
        <Fact name="Identity">{identityText(edge, nowMs, zone)}</Fact>
        <Fact name="Software">{edge.software || "not reported"}</Fact>
        <Fact name="Takes commands">
          {edge.link_since_ms === null
            ? "no, it is not connected"
            : `since ${momentText(edge.link_since_ms, nowMs, zone)}`}
        </Fact>
      </dl>
      <DeviceCommands edge={edge} />
    </article>
  );
}

function waitingText(edge: Edge): string {
  if (edge.spool_waiting === 0) return "none";
  const fragments = edge.spool_waiting === 1 ? "1 fragment" : `${edge.spool_waiting} fragments`;
  return edge.spool_oldest_ms === null
    ? fragments
    : `${fragments}, for ${roughSpan(waitingMs(edge))}`;
}

function clockText({ clock_state: state, clock_error_ms: errorMs }: Edge): string {
  if (state === "synchronised") return `synchronised, within ${errorMs ?? 0}\u00a0ms`;
  if (state === "unsynchronised") return "not synchronised";
  return state === "unknown" ? "unknown" : "not reported";
}

function identityText(edge: Edge, nowMs: number, zone: Zone): string {
  const { identity_state: state, identity_generation: generation, identity_expires_ms: end } = edge;
  if (state === null) return "none reported";
  if (generation === null || end === null) return state;
  return `${state}, generation ${generation}, until ${momentText(end, nowMs, zone)}`;
}

const CONFIGURATION_STATE = {
  trying: "on trial",
  refused: "newest rejected",
  "out-of-reach": "newest cannot be fetched",
  none: "none set",
} as const;

function configurationText({ config_state: state, config_version: version }: Edge): string {
  const which = version === null ? "local file" : `version ${version}`;
  if (state === null || state === "current") return which;
  return `${which}, ${CONFIGURATION_STATE[state]}`;
}
