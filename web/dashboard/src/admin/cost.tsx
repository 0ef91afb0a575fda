import { useEffect, useState } from "preact/hooks";
import { getVersioned } from "../api/client";
import type {
  CostEstimate,
  CostLever,
  CostLine,
  InputSource,
  PurposeCost,
  ServiceCost,
} from "../api/types";
import { Fact } from "../ui/fact";
import { ChoiceField, failureText, TextField } from "../ui/form";
import { Problem } from "../ui/problem";
import { type Column, Table, TableSkeleton } from "../ui/table";

const WAIT_MS = 400;

type Name = InputSource["name"];
/** What is asked in place of what the installation has, as it was entered. */
type Changes = Partial<Record<Name, string>>;

const FIELDS: readonly (readonly [name: Name, label: string])[] = [
  ["sites", "Sites"],
  ["cameras_per_site", "Cameras of a site"],
  ["mbit_s", "Mbit/s of a camera"],
  ["retention_days", "Days of retention"],
  ["uploaded_share", "Share uploaded"],
  ["fragment_s", "Fragment length, s"],
  ["watched_hours", "Hours watched"],
];
const CHOICES: readonly (readonly [
  name: Name,
  label: string,
  choices: readonly (readonly [string, string])[],
])[] = [
  [
    "uplink",
    "Uplink",
    [
      ["vpn", "VPN"],
      ["internet", "Internet"],
    ],
  ],
  [
    "cold_class",
    "Older footage in",
    [
      ["standard", "Standard"],
      ["standard-ia", "Standard-IA"],
      ["glacier-instant", "Glacier Instant"],
    ],
  ],
  [
    "environment",
    "Sizes of servers",
    [
      ["production", "Production"],
      ["dev", "Dev"],
    ],
  ],
];
const SOURCES: Record<InputSource["source"], string> = {
  measured: "Measured",
  setting: "By rule or setting",
  assumed: "Assumed",
  given: "Changed by you",
};

/** What the installation costs a month by list prices, and what a change would cost. */
export function InstallationCost() {
  const [changes, setChanges] = useState<Changes>({});
  const [cost, setCost] = useState<CostEstimate | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [attempt, setAttempt] = useState(0);
  const query = new URLSearchParams(changes).toString();

  useEffect(() => {
    const controller = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const path = `/api/v1/cost${query && `?${query}`}`;
        const { value } = await getVersioned<CostEstimate>(path, controller.signal);
        setCost(value);
        setError(null);
      } catch (failure) {
        if (!controller.signal.aborted) setError(failure as Error);
      }
    };
    // While a number is typed, nothing is asked.
    const timer = window.setTimeout(load, query ? WAIT_MS : 0);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [query, attempt]);

  const change = (name: Name, text: string): void => {
    const { [name]: _, ...others } = changes;
    const same = text === "" || (cost !== null && text === entered(cost.own[name]));
    setChanges(same ? others : { ...changes, [name]: text });
  };
  return (
    <>
      <div class="admin-head">
        <h1>Cost</h1>
        {cost && (
          <span class="soft">
            {cost.inputs.region}, prices of {cost.prices_written}
          </span>
        )}
      </div>
      {cost === null && error && (
        <Problem
          title="The cost cannot be computed"
          detail={failureText(error)}
          action="Try now"
          onAction={() => setAttempt((count) => count + 1)}
        />
      )}
      {cost === null && !error && <TableSkeleton label="Computing the cost" />}
      {cost && (
        <div class="status-page">
          <Summary cost={cost} />
          <WhatIf
            cost={cost}
            changes={changes}
            error={error}
            onChange={change}
            onChanges={setChanges}
          />
          <Bill cost={cost} />
        </div>
      )}
    </>
  );
}

function Summary({ cost }: { cost: CostEstimate }) {
  const { inputs, own, usd, own_usd, cameras } = cost;
  const differs = JSON.stringify(inputs) !== JSON.stringify(own);
  const more = usd - own_usd;
  return (
    <section>
      <p class="cost-sum" role="status">
        <b>{dollars(usd)}</b> a month for {count(cameras, "camera")} at{" "}
        {count(inputs.sites, "site")}.
        {differs && (
          <>
            {" "}
            {Math.abs(more) < 0.5
              ? "As much as the installation as it is."
              : `${dollars(Math.abs(more))} ${more > 0 ? "more" : "less"} than the installation as it is.`}
          </>
        )}
      </p>
      <p class="notice">
        {cost.prices_note} No discount and no tax is in them, and no bill was read.
        {cost.notes.map((note) => ` ${note}`).join("")}
      </p>
    </section>
  );
}

interface WhatIfProps {
  readonly cost: CostEstimate;
  readonly changes: Changes;
  readonly error: Error | null;
  onChange(name: Name, text: string): void;
  onChanges(changes: Changes): void;
}

/** The inputs. They can be changed, and nothing is saved. */
function WhatIf({ cost, changes, error, onChange, onChanges }: WhatIfProps) {
  const source = new Map(cost.sources.map((each) => [each.name, each.source]));
  const value = (name: Name): string => changes[name] ?? entered(cost.own[name]);
  const help = (name: Name): string => {
    if (changes[name] !== undefined) return `Now ${entered(cost.own[name])}`;
    return SOURCES[source.get(name) ?? "assumed"];
  };
  const presets: readonly (readonly [string, Changes])[] = [
    ["10 more sites", { sites: String(Number(value("sites")) + 10) }],
    ["14 days of retention", { retention_days: "14" }],
    ["Sub stream only", { mbit_s: String(cost.sub_stream_mbit_s) }],
  ];
  return (
    <section>
      <h2>What if</h2>
      <div class="cost-presets">
        {presets.map(([text, given]) => (
          <button
            key={text}
            type="button"
            class="button small"
            onClick={() => onChanges({ ...changes, ...given })}
          >
            {text}
          </button>
        ))}
        <button
          type="button"
          class="button small"
          disabled={Object.keys(changes).length === 0}
          onClick={() => onChanges({})}
        >
          As it is
        </button>
      </div>
      <div class="cost-inputs">
        {FIELDS.map(([name, label]) => (
          <TextField
            key={name}
            label={label}
            type="number"
            value={value(name)}
            help={help(name)}
            onText={(text) => onChange(name, text)}
          />
        ))}
        {CHOICES.map(([name, label, choices]) => (
          <ChoiceField
            key={name}
            label={label}
            choices={choices}
            value={value(name)}
            onChoice={(text) => onChange(name, text)}
          />
        ))}
        <ChoiceField
          label="Prices of"
          choices={cost.regions.map((region) => [region, region] as const)}
          value={value("region")}
          onChoice={(text) => onChange("region", text)}
        />
      </div>
      {error && (
        <p class="form-error" role="alert">
          {failureText(error)} The numbers below are those of before.
        </p>
      )}
      <p class="form-help">Nothing is saved. Other people see the installation as it is.</p>
    </section>
  );
}

function Bill({ cost }: { cost: CostEstimate }) {
  const perSite = cost.per_site_usd + cost.inputs.cameras_per_site * cost.per_camera_usd;
  return (
    <>
      <section>
        <h2>In short</h2>
        <dl class="cost-facts">
          <Fact name="Fixed: without any site">{dollars(cost.fixed_usd)}</Fact>
          <Fact name="Variable: sites and cameras">{dollars(cost.variable_usd)}</Fact>
          <Fact name="One more site with its cameras">{dollars(perSite)}</Fact>
          <Fact name="One more site without cameras">{dollars(cost.per_site_usd)}</Fact>
          <Fact name="One more camera">{cents(cost.per_camera_usd)}</Fact>
          <Fact name="What Vigil adds">{percent(cost.added_share)}</Fact>
        </dl>
      </section>
      <section>
        <h2>By service of AWS</h2>
        <Table
          dense
          caption="Cost by service"
          columns={serviceColumns(cost.usd)}
          rows={cost.services}
          keyOf={({ service }) => service}
        />
      </section>
      <section>
        <h2>By purpose</h2>
        <Table
          dense
          caption="Cost by purpose"
          columns={purposeColumns(cost.usd)}
          rows={cost.purposes}
          keyOf={({ purpose }) => purpose}
        />
      </section>
      <section>
        <h2>Compared with Kinesis Video Streams</h2>
        <p class="notice">
          AWS's own service for the same footage: {dollars(cost.kinesis_video_usd)} a month by list
          price. This installation without transport and sites, which both need:{" "}
          {dollars(cost.comparable_usd)}.
        </p>
      </section>
      <section>
        <h2>What would save</h2>
        <Table
          dense
          caption="What would save"
          columns={LEVER_COLUMNS}
          rows={cost.levers}
          keyOf={({ name, change }) => `${name} ${change}`}
        />
        <p class="form-help">Each change alone. They do not add up.</p>
      </section>
      <details class="details">
        <summary>All {cost.lines.length} lines</summary>
        <Table
          dense
          caption="All lines"
          columns={LINE_COLUMNS}
          rows={cost.lines}
          keyOf={({ service, what }) => `${service} ${what}`}
        />
      </details>
    </>
  );
}

const WHOLE = new Intl.NumberFormat("en-US", {
  style: "currency",
  currency: "USD",
  maximumFractionDigits: 0,
});
const CENTS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const AMOUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

/** An input as its field shows it. */
function entered(value: number | string): string {
  return typeof value === "number" ? String(Number(value.toFixed(3))) : value;
}

function dollars(usd: number): string {
  return Math.abs(usd) < 10 && usd !== 0 ? CENTS.format(usd) : WHOLE.format(usd);
}

function some(usd: number): string {
  return usd === 0 ? "–" : dollars(usd);
}

function cents(usd: number): string {
  return CENTS.format(usd);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}\u00a0%`;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

const share = (usd: number, whole: number) => (
  <span class="cost-share">
    <span class="cost-bar" style={{ width: `${(usd / whole) * 100}%` }} />
    <span>{percent(usd / whole)}</span>
  </span>
);

const serviceColumns = (whole: number): readonly Column<ServiceCost>[] => [
  { title: "Service", cell: ({ service }) => service },
  { title: "A month", cell: ({ usd }) => <b>{dollars(usd)}</b> },
  { title: "Fixed", cell: ({ fixed_usd }) => some(fixed_usd) },
  { title: "Sites", cell: ({ sites_usd }) => some(sites_usd) },
  { title: "Cameras", cell: ({ cameras_usd }) => some(cameras_usd) },
  { title: "Share", cell: ({ usd }) => share(usd, whole) },
];

const purposeColumns = (whole: number): readonly Column<PurposeCost>[] => [
  { title: "Purpose", cell: ({ text }) => text.charAt(0).toUpperCase() + text.slice(1) },
  { title: "A month", cell: ({ usd }) => <b>{dollars(usd)}</b> },
  { title: "Share", cell: ({ usd }) => share(usd, whole) },
];

const LEVER_COLUMNS: readonly Column<CostLever>[] = [
  {
    title: "Change",
    cell: ({ name, change, available }) => (
      <>
        {name.charAt(0).toUpperCase() + name.slice(1)}: {change.replaceAll("`", "")}
        {!available && <span class="soft"> (not by a setting: Vigil has to be changed)</span>}
      </>
    ),
  },
  {
    title: "Saves a month",
    cell: ({ saves_usd, saves_share }) =>
      saves_usd < 0 ? (
        <span class="soft">costs {dollars(-saves_usd)} more</span>
      ) : (
        <>
          <b>{dollars(saves_usd)}</b> <span class="soft">{percent(saves_share)}</span>
        </>
      ),
  },
  { title: "What else it does", cell: ({ effect }) => effect },
];

const LINE_COLUMNS: readonly Column<CostLine>[] = [
  {
    title: "Line",
    cell: ({ service, what }) => (
      <>
        {service}: {what}
      </>
    ),
  },
  { title: "Amount", cell: ({ amount, unit }) => `${AMOUNT.format(amount)} ${unit}` },
  { title: "A month", cell: ({ usd }) => cents(usd) },
];
