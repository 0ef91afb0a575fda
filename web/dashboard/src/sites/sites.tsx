import { useEffect } from "preact/hooks";
import { getEdges } from "../api/client";
import type { Edge } from "../api/types";
import { dated, useServerNow } from "../clock";
import { bytesInWords, roughSpan, type Zone } from "../format";
import { usePolled } from "../poll";
import { cameraPath, follow } from "../router";
import { momentWords } from "../ui/state";
import { Outdated, Trouble } from "../ui/trouble";
import { useZone } from "../zone";
import { isSilent, notRecorded, troublesOf, waitingMs } from "./health";

const POLL_MS = 3000;

const askEdges = dated(getEdges);

/** Is the installation well? */
export function Sites() {
  const { value, error, retry } = usePolled(askEdges, POLL_MS, "edges");
  const zone = useZone();
  const nowMs = useServerNow();

  useEffect(() => {
    document.title = "Sites · Vigil";
  }, []);

  const edges = [...(value?.edges ?? [])].sort(
    (a, b) =>
      rank(a, nowMs) - rank(b, nowMs) ||
      a.site.localeCompare(b.site) ||
      a.edge.localeCompare(b.edge, undefined, { numeric: true }),
  );
  const ill = edges.filter((edge) => troublesOf(edge, nowMs).length > 0).length;
  return (
    <main class="wall">
      <div class="wall-head">
        <h1>Sites</h1>
        <p class="wall-summary" role="status">
          {edges.length > 0 && (
            <>
              {edges.length === 1 ? "1 edge device" : `${edges.length} edge devices`},{" "}
              {ill === 0 ? (
                "all well"
              ) : (
                <b class="warn">{ill === 1 ? "1 needs a look" : `${ill} need a look`}</b>
              )}
            </>
          )}
        </p>
      </div>
      {value === null && error && (
        <Trouble
          title="The sites could not be fetched"
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
        <Trouble
          title="No site has been heard yet"
          detail="An edge device appears here by itself with its first heartbeat. Check on the device with “vigil edge check”."
        />
      )}
      <div class="edges">
        {edges.map((edge) => (
          <Device key={`${edge.site} ${edge.edge}`} edge={edge} nowMs={nowMs} zone={zone} />
        ))}
      </div>
      {value && error && <Outdated error={error} knownMs={value.now_ms} zone={zone} />}
    </main>
  );
}

function rank(edge: Edge, nowMs: number): number {
  const troubles = troublesOf(edge, nowMs);
  if (troubles.some(({ grave }) => grave)) return 0;
  return troubles.length > 0 ? 1 : 2;
}

const RANKS = [
  ["offline", "Needs a look"],
  ["late", "Needs a look"],
  ["recording", "Well"],
] as const;

function Device({ edge, nowMs, zone }: { edge: Edge; nowMs: number; zone: Zone }) {
  const troubles = troublesOf(edge, nowMs);
  const [colour, words] = RANKS[rank(edge, nowMs)] ?? RANKS[2];
  const silent = isSilent(edge, nowMs);
  const off = notRecorded(edge);
  const recorded = edge.cameras.length - off.length;
  return (
    <article class={`edge ${colour}`} data-edge={`${edge.site}/${edge.edge}`}>
      <header>
        <h2>{edge.site.replace("/", " / ")}</h2>
        <span class="tile-site">{edge.edge}</span>
        <span class={`state ${colour}`}>
          <i class="dot" aria-hidden="true" />
          {silent ? `Silent since ${momentWords(edge.heard_ms, nowMs, zone)}` : words}
        </span>
      </header>
      {troubles.length > 0 && (
        <ul class="edge-troubles">
          {troubles.map(({ words: trouble }) => (
            <li key={trouble}>{trouble}</li>
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
              {state} since {momentWords(since_ms, nowMs, zone)}
              {detail && `: ${detail}`}
            </li>
          ))}
        </ul>
      )}
      <dl class={silent ? "edge-facts old" : "edge-facts"}>
        <Fact name="Last heard" value={`${roughSpan(nowMs - edge.heard_ms)} ago`} />
        <Fact name="Cameras recorded" value={`${recorded} of ${edge.cameras.length}`} />
        <Fact name="Not yet uploaded" value={waitingWords(edge)} />
        <Fact name="Footage on it" value={bytesInWords(edge.spool_bytes)} />
        <Fact name="Free on its disk" value={bytesInWords(edge.disk_free_bytes)} />
        <Fact name="Clock" value={clockWords(edge)} />
        <Fact name="Configuration" value={configurationWords(edge)} />
        <Fact name="Program" value={edge.software || "not told"} />
      </dl>
    </article>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function waitingWords(edge: Edge): string {
  if (edge.spool_waiting === 0) return "nothing";
  const fragments = edge.spool_waiting === 1 ? "1 fragment" : `${edge.spool_waiting} fragments`;
  return edge.spool_oldest_ms === null
    ? fragments
    : `${fragments}, for ${roughSpan(waitingMs(edge))}`;
}

function clockWords({ clock_state: state, clock_error_ms: errorMs }: Edge): string {
  if (state === "synchronised") return `synchronised, within ${errorMs ?? 0}\u00a0ms`;
  if (state === "unsynchronised") return "not synchronised";
  return state === "unknown" ? "unknown to its system" : "not told";
}

function configurationWords({ config_state: state, config_version: version }: Edge): string {
  const which = version === null ? "its own file" : `version ${version}`;
  if (state === null || state === "current") return which;
  return `${which}, ${state.replaceAll("-", " ")}`;
}
