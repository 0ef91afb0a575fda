import { useMemo, useState } from "preact/hooks";
import { getVersioned } from "../api/client";
import type { Fleet, FleetDevices } from "../api/types";
import { usePolling } from "../poll";
import { ChoiceField, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { Problem } from "../ui/problem";
import { type Column, Table, TableSkeleton } from "../ui/table";
import { detailOf, ordered, RING_TEXT, RINGS, stateOf } from "./fleet-state";
import { RolloutPanel } from "./rollout";

const POLL_MS = 10_000;
const MAX_PAGES = 5;
const SHOWN = 50;

interface Known {
  readonly rollout: FleetDevices["rollout"];
  readonly devices: readonly Fleet[];
  /** There are more devices than this page reads. */
  readonly cut: boolean;
}

async function getFleet(signal: AbortSignal): Promise<Known> {
  const devices: Fleet[] = [];
  let rollout: FleetDevices["rollout"] = null;
  let next: string | null = "";
  for (let page = 0; page < MAX_PAGES && next !== null; page++) {
    const cursor: string = next && `&cursor=${encodeURIComponent(next)}`;
    const path = `/api/v1/fleet?limit=1000${cursor}`;
    const { value } = await getVersioned<FleetDevices>(path, signal);
    devices.push(...value.devices);
    rollout = value.rollout;
    next = value.next;
  }
  return { rollout, devices, cut: next !== null };
}

type Shown = "all" | "behind" | "faults";

/** What each device runs, who is behind and why, and the rollout that changes it. */
export function FleetPage() {
  const { value, error, retry } = usePolling(getFleet, POLL_MS, "fleet");
  return (
    <>
      <div class="admin-head">
        <h1>Fleet</h1>
        {value && <span class="soft">{value.devices.length} devices</span>}
      </div>
      {value === null && error && (
        <Problem
          title="The fleet cannot be loaded"
          detail={error.message}
          action="Try now"
          onAction={retry}
        />
      )}
      {value === null && !error && <TableSkeleton label="Loading the fleet" />}
      {value && error && (
        <p class="banner" role="alert">
          <b>Not up to date.</b> {error.message}
        </p>
      )}
      {value && (
        <div class="status-page">
          <RolloutPanel current={value.rollout} devices={value.devices} onChanged={retry} />
          <Devices known={value} />
        </div>
      )}
    </>
  );
}

function Devices({ known }: { known: Known }) {
  const { devices, rollout, cut } = known;
  const [shown, setShown] = useState<Shown>("all");
  const [ring, setRing] = useState("");
  const [text, setText] = useState("");
  const [count, setCount] = useState(SHOWN);
  const sorted = useMemo(() => ordered(devices), [devices]);
  const behind = devices.filter((device) => device.behind !== null).length;
  const faults = devices.filter((device) => stateOf(device)[0] === "offline").length;
  const wanted = text.trim().toLowerCase();
  const found = sorted.filter(
    (device) =>
      (shown !== "behind" || device.behind !== null) &&
      (shown !== "faults" || stateOf(device)[0] === "offline") &&
      (ring === "" || device.ring === ring) &&
      device.device.includes(wanted),
  );
  if (devices.length === 0) {
    return (
      <p class="notice">
        No device is enrolled yet. A device appears here when it is enrolled:{" "}
        <span class="code">vigil device code</span> makes its code.
      </p>
    );
  }
  const choices: readonly (readonly [Shown, string])[] = [
    ["all", `All ${devices.length}`],
    ["behind", `Behind ${behind}`],
    ["faults", `With a fault ${faults}`],
  ];
  return (
    <section>
      <h2>Devices</h2>
      <div class="admin-filters">
        <fieldset class="choices">
          <legend class="hidden">Which devices</legend>
          {choices.map(([name, title]) => (
            <button
              key={name}
              type="button"
              class="button small"
              aria-pressed={shown === name}
              onClick={() => setShown(name)}
            >
              {title}
            </button>
          ))}
        </fieldset>
        <ChoiceField
          label="Ring"
          value={ring}
          choices={[["", "All rings"], ...RINGS.map((each) => [each, RING_TEXT[each]] as const)]}
          onChoice={setRing}
        />
        <TextField label="Site or device" type="search" value={text} onText={setText} />
      </div>
      {found.length === 0 ? (
        <p class="notice">
          {shown === "behind" && behind === 0
            ? "No device is behind."
            : shown === "faults" && faults === 0
              ? "No device has a fault."
              : "No device is like that. Change the filter."}
        </p>
      ) : (
        <Table
          dense
          caption="Devices"
          columns={columns(rollout)}
          rows={found.slice(0, count)}
          keyOf={({ device }) => device}
        />
      )}
      {found.length > count && (
        <div class="more">
          <button type="button" class="button" onClick={() => setCount(count + SHOWN)}>
            Show more ({found.length - count} left)
          </button>
        </div>
      )}
      {cut && (
        <p class="form-help">
          There are more devices than this page reads. “vigil fleet list” shows all of them.
        </p>
      )}
    </section>
  );
}

const columns = (rollout: Known["rollout"]): readonly Column<Fleet>[] => [
  {
    title: "Device",
    cell: ({ device, site }) => (
      <>
        {site}
        <wbr />
        <span class="soft fleet-device">{device.slice(site.length)}</span>
      </>
    ),
  },
  { title: "Ring", cell: ({ ring }) => RING_TEXT[ring].split(",")[0] },
  {
    title: "Runs",
    cell: ({ version, software, system }) => (
      <>
        {version ?? software ?? "unknown"}
        {system !== null && <span class="soft"> system {system}</span>}
      </>
    ),
  },
  {
    title: "Wanted",
    cell: ({ behind }) => (behind === null || rollout === null ? "–" : rollout.version),
  },
  {
    title: "State",
    cell: (device) => {
      const [look, title] = stateOf(device);
      const detail = detailOf(device);
      return (
        <>
          <span class={`state ${look}`}>
            <span class="dot" />
            {title}
          </span>
          {detail && <div class="soft fleet-detail">{detail}.</div>}
        </>
      );
    },
  },
  {
    title: "Last seen",
    cell: ({ reported_ms, heartbeat_ms }) => {
      const newest = Math.max(reported_ms ?? 0, heartbeat_ms ?? 0);
      return <Moment ms={newest || null} none="never" />;
    },
  },
  {
    title: "Maintenance window",
    cell: ({ window, lock }) => (lock !== null ? `Locked: ${lock}` : (window ?? "Any time")),
  },
];
