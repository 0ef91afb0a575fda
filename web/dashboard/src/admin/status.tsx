import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { getVersioned } from "../api/client";
import type {
  BackupStatus,
  FiringAlert,
  ProgramStatus,
  QueueStatus,
  ServiceLevel,
  SiteBytes,
  SiteStatus,
  Status,
  StorageStatus,
  StoreStatus,
} from "../api/types";
import { bytesText, roughSpan, shortDate, span, UTC } from "../format";
import { usePolling } from "../poll";
import { Fact } from "../ui/fact";
import { Outdated, Problem } from "../ui/problem";
import { type Column, Table, TableSkeleton } from "../ui/table";
import { useZone } from "../zone";

const POLL_MS = 15_000;
const FEW_SITES = 10;
/** A restore drill that is older should be done again. */
const DRILL_MS = 180 * 86_400_000;

type State = ProgramStatus["state"];

const LOOK: Record<State, readonly [className: string, text: string]> = {
  good: ["recording", "Good"],
  degraded: ["late", "Degraded"],
  down: ["offline", "Down"],
  unknown: ["new", "Unknown"],
};
const STORES: Record<StoreStatus["store"], string> = {
  postgresql: "PostgreSQL",
  kafka: "Kafka",
  s3: "S3",
  sqs: "SQS",
};
const PROGRAMS: Record<string, string> = {
  relay: "Relay",
  assemble: "Assembler",
  join: "Joiner",
  index: "Indexer",
  heal: "Healer",
  web: "Web",
  link: "Link workers",
};

const getStatus = async (signal: AbortSignal): Promise<Status> =>
  (await getVersioned<Status>("/api/v1/status", signal)).value;

/** The state of the installation: programs, stores, service levels, sites. */
export function InstallationStatus() {
  const { value, error, retry } = usePolling(getStatus, POLL_MS, "status");
  const zone = useZone();
  return (
    <>
      <div class="admin-head">
        <h1>Status</h1>
        {value && <span class="soft">Version {value.version}</span>}
      </div>
      {value === null && error && (
        <Problem
          title="The status cannot be loaded"
          detail={error.message}
          action="Try now"
          onAction={retry}
        />
      )}
      {value === null && !error && <TableSkeleton label="Loading the status" />}
      {value && <Loaded status={value} />}
      {value && error && <Outdated error={error} knownMs={value.at_ms} zone={zone} />}
    </>
  );
}

function Loaded({ status }: { status: Status }) {
  const { alerts, programs, stores, service_levels: levels, sites } = status;
  const unwell = sites.filter((site) => !isWell(site));
  const unsigned = sites.filter((site) => site.unsigned !== "refuse");
  return (
    <div class="status-page">
      <p class="admin-lead" role="status">
        {summary(status, unwell.length)}
      </p>
      {status.metrics !== "good" && (
        <p class="notice">
          {status.metrics === "not-set"
            ? "Programs, queues, service levels and alerts are unknown: VIGIL_PROMETHEUS_URL is not set."
            : "Prometheus does not answer, so programs, queues, service levels and alerts are unknown. Check VIGIL_PROMETHEUS_URL."}
        </p>
      )}
      {alerts.length > 0 && (
        <Section title="Alerts">
          <Table
            dense
            caption="Alerts"
            columns={ALERT_COLUMNS}
            rows={alerts}
            keyOf={({ name, severity }) => `${name} ${severity}`}
          />
        </Section>
      )}
      <Section title="Programs">
        <Table
          dense
          caption="Programs"
          columns={programColumns(status.at_ms)}
          rows={programs}
          keyOf={({ program }) => program}
        />
      </Section>
      <Section title="Stores">
        <Table
          dense
          caption="Stores"
          columns={STORE_COLUMNS}
          rows={stores}
          keyOf={({ store }) => store}
        />
      </Section>
      <Section title="Queues">
        <Table
          dense
          caption="Queues"
          columns={QUEUE_COLUMNS}
          rows={status.queues}
          keyOf={({ queue }) => queue}
        />
      </Section>
      <Section title="Footage in S3">
        {status.storage === null ? (
          <p class="notice">How much footage is kept is unknown: the catalog does not answer.</p>
        ) : (
          <Storage storage={status.storage} />
        )}
      </Section>
      <Section title="Backups of PostgreSQL">
        <Backups backups={status.backups} nowMs={status.at_ms} />
      </Section>
      {levels.length > 0 && (
        <Section title="Service levels, 30 days">
          <Table
            dense
            caption="Service levels"
            columns={LEVEL_COLUMNS}
            rows={levels}
            keyOf={({ name }) => name}
          />
        </Section>
      )}
      <Section title="Sites that need attention">
        {unwell.length === 0 ? (
          <p class="notice">
            {status.site_count === 0
              ? "There is no site yet."
              : "All cameras send, and all devices are online."}
          </p>
        ) : (
          <Table
            dense
            caption="Sites that need attention"
            columns={SITE_COLUMNS}
            rows={unwell}
            keyOf={({ site }) => site}
          />
        )}
      </Section>
      <Section title="Signatures">
        <p class="notice">
          {unsigned.length === 0
            ? "No site accepts events that no device signed."
            : `These sites accept events that no device signed: ${unsigned.map(({ site }) => site).join(", ")}. Enrol their devices, then refuse such events.`}{" "}
          {status.audit_signed_ms === null
            ? "When the audit log was last signed is unknown."
            : `The audit log was last signed ${roughSpan(status.at_ms - status.audit_signed_ms)} ago.`}
        </p>
      </Section>
    </div>
  );
}

function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Storage({ storage }: { storage: StorageStatus }) {
  const { size_bytes, added_bytes, deleted_bytes, days, sites, site_count } = storage;
  const [all, setAll] = useState(false);
  if (site_count === 0) return <p class="notice">No chunk of footage is kept yet.</p>;
  const most = Math.max(1, ...days.map((day) => day.size_bytes));
  const growth = deleted_bytes === null ? null : added_bytes - deleted_bytes;
  return (
    <>
      <dl class="cost-facts">
        <Fact name="Kept">{bytesText(size_bytes)}</Fact>
        <Fact name="Added a day, last 7 days">{bytesText(added_bytes)}</Fact>
        <Fact name="Deleted a day for age">
          {deleted_bytes === null ? "unknown" : bytesText(deleted_bytes)}
        </Fact>
        <Fact name="Growth a day">
          {growth === null ? "unknown" : `${growth < 0 ? "−" : ""}${bytesText(Math.abs(growth))}`}
        </Fact>
      </dl>
      <ul class="day-bars" aria-label="Footage kept, by day (UTC)">
        {days.map(({ day_ms, size_bytes: bytes }) => (
          <li key={day_ms} title={`${shortDate(day_ms, UTC)}: ${bytesText(bytes)}`}>
            <span style={{ height: `${(bytes / most) * 100}%` }} />
            <span class="hidden">
              {shortDate(day_ms, UTC)}: {bytesText(bytes)}
            </span>
          </li>
        ))}
      </ul>
      {days.length > 0 && (
        <p class="form-help">
          Bytes by day of recording (UTC), {shortDate(days[0]?.day_ms ?? 0, UTC)} until today. The
          highest: {bytesText(most)}.
        </p>
      )}
      <Table
        dense
        caption="Footage by site"
        columns={BYTES_COLUMNS}
        rows={all ? sites : sites.slice(0, FEW_SITES)}
        keyOf={({ site }) => site}
      />
      {!all && sites.length > FEW_SITES && (
        <div class="more">
          <button type="button" class="button" onClick={() => setAll(true)}>
            Show {sites.length === site_count ? "all" : "the"} {sites.length} largest of{" "}
            {site_count} sites
          </button>
        </div>
      )}
    </>
  );
}

function Backups({ backups, nowMs }: { backups: BackupStatus; nowMs: number }) {
  const { archive, archived_ms, failed_ms, window_days, drill_ms } = backups;
  const wal =
    archive === "unknown"
      ? "Whether PostgreSQL archives its WAL is unknown: it does not answer."
      : archive === "off"
        ? "PostgreSQL archives no WAL itself. Without another way, it cannot be restored to a point in time."
        : failed_ms !== null
          ? `PostgreSQL has failed to archive its WAL since ${roughSpan(nowMs - failed_ms)}. What is newer would be lost: check its archive_command.`
          : archived_ms === null
            ? "PostgreSQL has archived no WAL yet."
            : `PostgreSQL archived WAL ${roughSpan(nowMs - archived_ms)} ago.`;
  const window =
    window_days === null
      ? "How far backups reach back is not known here: set VIGIL_BACKUP_DAYS to what Terraform or your backups have."
      : `Backups reach back ${window_days} days, by VIGIL_BACKUP_DAYS. AWS was not asked.`;
  const age = drill_ms === null ? null : nowMs - drill_ms;
  const drill =
    drill_ms === null || age === null
      ? "No restore drill is known. Restore once by docs/how-to/recover.md, then set VIGIL_RESTORE_DRILL_DATE."
      : `The last restore drill was on ${shortDate(drill_ms, UTC)}, ${roughSpan(Math.max(0, age))} ago.${age > DRILL_MS ? " Do one again: only a drill shows that backups can be read." : ""}`;
  const rows: readonly (readonly [string, string, State])[] = [
    [
      "WAL",
      wal,
      archive === "on"
        ? failed_ms === null
          ? "good"
          : "down"
        : archive === "off"
          ? "degraded"
          : "unknown",
    ],
    ["Window", window, window_days === null ? "unknown" : "good"],
    ["Drill", drill, age === null ? "unknown" : age > DRILL_MS ? "degraded" : "good"],
  ];
  return (
    <Table
      caption="Backups"
      columns={[
        { title: "What", cell: ([name]) => name },
        { title: "State", cell: ([, , state]) => <StateText state={state} /> },
        { title: "What is known", cell: ([, text]) => text },
      ]}
      rows={rows}
      keyOf={([name]) => name}
    />
  );
}

function StateText({ state }: { state: State }) {
  const [className, text] = LOOK[state];
  return (
    <span class={`state ${className}`}>
      <span class="dot" />
      {text}
    </span>
  );
}

function isWell(site: SiteStatus): boolean {
  return site.cameras_sending === site.cameras && site.edges_online === site.edges;
}

/** One sentence: what needs a person. */
function summary({ programs, stores, alerts, site_count: count }: Status, unwell: number): string {
  const bad = [...programs, ...stores].filter(
    ({ state }) => state === "down" || state === "degraded",
  ).length;
  const parts = [
    bad > 0 && `${bad} of the programs and stores ${bad === 1 ? "is" : "are"} not good`,
    alerts.length > 0 && (alerts.length === 1 ? "1 alert fires" : `${alerts.length} alerts fire`),
    unwell > 0 && `${unwell} of ${count} ${unwell === 1 ? "sites needs" : "sites need"} attention`,
  ].filter(Boolean);
  return parts.length === 0 ? "No problem is known." : `${parts.join(", ")}.`;
}

function sentenceCase(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function percent(share: number | null, digits = 1): string {
  return share === null ? "–" : `${(share * 100).toFixed(digits)}\u00a0%`;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

function seconds(value: number | null): string {
  if (value === null) return "–";
  return value < 1 ? `${Math.round(value * 1000)}\u00a0ms` : span(value * 1000);
}

const ALERT_COLUMNS: readonly Column<FiringAlert>[] = [
  { title: "Alert", cell: ({ name }) => <span class="code">{name}</span> },
  {
    title: "When",
    cell: ({ severity }) => (
      <span class={`state ${severity === "page" ? "offline" : "late"}`}>
        <span class="dot" />
        {severity === "page" ? "Now" : "In working hours"}
      </span>
    ),
  },
  { title: "How many", cell: ({ count }) => count },
];

const programColumns = (nowMs: number): readonly Column<ProgramStatus>[] => [
  { title: "Program", cell: ({ program }) => PROGRAMS[program] ?? sentenceCase(program) },
  { title: "State", cell: ({ state }) => <StateText state={state} /> },
  {
    title: "Instances",
    cell: ({ running, known, ready, state }) =>
      state === "unknown"
        ? "–"
        : `${running} of ${known}${ready === null || ready === running ? "" : `, ${ready} ready`}`,
  },
  { title: "Version", cell: ({ versions }) => versions.join(", ") || "–" },
  {
    title: "Behind",
    cell: ({ lag_s, lag_messages }) =>
      lag_messages ? `${seconds(lag_s)}, ${count(lag_messages, "message")}` : seconds(lag_s),
  },
  {
    title: "Last seen",
    cell: ({ seen_ms, running }) =>
      running > 0 ? "now" : seen_ms === null ? "–" : `${roughSpan(nowMs - seen_ms)} ago`,
  },
];

const STORE_COLUMNS: readonly Column<StoreStatus>[] = [
  { title: "Store", cell: ({ store }) => STORES[store] },
  { title: "State", cell: ({ state }) => <StateText state={state} /> },
  {
    title: "Calls a second",
    cell: ({ calls_per_s }) => (calls_per_s === null ? "–" : calls_per_s.toFixed(1)),
  },
  { title: "Failed", cell: ({ failed }) => percent(failed) },
  { title: "95 % within", cell: ({ p95_s }) => seconds(p95_s) },
];

const QUEUE_COLUMNS: readonly Column<QueueStatus>[] = [
  {
    title: "Queue",
    cell: ({ queue }) => (queue === "events" ? "Events of the sites" : "Dead letters"),
  },
  {
    title: "Wait",
    cell: ({ queue, visible }) =>
      visible === null ? (
        <span class="soft">unknown</span>
      ) : queue === "dead-letter" && visible > 0 ? (
        <span class="state late">
          <span class="dot" />
          {count(visible, "message")}. Read them: vigil dlq list
        </span>
      ) : (
        count(visible, "message")
      ),
  },
  {
    title: "A relay has",
    cell: ({ in_flight }) => (in_flight === null ? "–" : count(in_flight, "message")),
  },
];

const BYTES_COLUMNS: readonly Column<SiteBytes>[] = [
  { title: "Site", cell: ({ site }) => site },
  { title: "Kept", cell: ({ size_bytes }) => bytesText(size_bytes) },
  { title: "Added a day", cell: ({ added_bytes }) => bytesText(added_bytes) },
  { title: "Cameras", cell: ({ cameras }) => cameras },
  { title: "Oldest day (UTC)", cell: ({ oldest_ms }) => shortDate(oldest_ms, UTC) },
];

const LEVEL_COLUMNS: readonly Column<ServiceLevel>[] = [
  {
    title: "Service level",
    cell: ({ title, site }) => (
      <>
        {title}
        {site !== null && <span class="soft"> {site} is worst</span>}
      </>
    ),
  },
  { title: "Objective", cell: ({ objective }) => percent(objective) },
  { title: "Reached", cell: ({ reached }) => percent(reached, 2) },
  {
    title: "Error budget left",
    cell: ({ budget }) => (
      <span
        class={`state ${budget === null ? "new" : budget < 0 ? "offline" : budget < 0.25 ? "late" : "recording"}`}
      >
        <span class="dot" />
        {budget === null ? "Unknown" : budget < 0 ? "Used up" : percent(budget, 0)}
      </span>
    ),
  },
];

const SITE_COLUMNS: readonly Column<SiteStatus>[] = [
  { title: "Site", cell: ({ site }) => site },
  {
    title: "Cameras that send",
    cell: ({ cameras, cameras_sending }) => `${cameras_sending} of ${cameras}`,
  },
  {
    title: "Devices online",
    cell: ({ edges, edges_online }) => `${edges_online} of ${edges}`,
  },
];
