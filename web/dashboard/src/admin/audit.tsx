import { useState } from "preact/hooks";
import type { Audit, AuditPage } from "../api/types";
import { serverNow } from "../clock";
import { fieldMoment, fieldValue, zoneLabel } from "../format";
import { ChoiceField, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { useZone } from "../zone";
import { ListView } from "./list-view";
import { useList } from "./use-list";

const rowsOf = ({ entries }: AuditPage) => entries;

interface Filter {
  readonly from: string;
  readonly to: string;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
}

const NO_FILTER: Filter = { from: "", to: "", actor: "", action: "", resource: "", outcome: "" };

/** The audit log: who did what, newest first. */
export function AuditLog() {
  const zone = useZone();
  const [draft, setDraft] = useState<Filter>(NO_FILTER);
  const [query, setQuery] = useState("");
  const list = useList(`/api/v1/audit?limit=100${query}`, rowsOf);
  const set = (part: Partial<Filter>): void => setDraft({ ...draft, ...part });
  const apply = (event: Event): void => {
    event.preventDefault();
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(draft)) {
      if (!value.trim()) continue;
      const moment = name === "from" || name === "to" ? fieldMoment(value, zone) : null;
      params.set(name, moment === null ? value.trim() : `${moment}`);
    }
    const text = params.toString();
    setQuery(text && `&${text}`);
  };
  const label = zoneLabel(serverNow(), zone);
  const latest = fieldValue(serverNow(), zone).slice(0, 16);
  return (
    <ListView
      title="Audit log"
      lead="Who signed in, watched, changed, deleted, or was refused. Entries cannot be changed: “vigil audit verify” proves it from an export."
      list={list}
      empty="No entry matches."
      keyOf={({ chain, seq }) => `${chain} ${seq}`}
      filters={
        <form class="admin-filters" onSubmit={apply}>
          <TextField
            label={`From (${label})`}
            type="datetime-local"
            value={draft.from}
            onText={(from) => set({ from })}
          />
          <TextField
            label={`To (${label})`}
            type="datetime-local"
            value={draft.to}
            placeholder={latest}
            onText={(to) => set({ to })}
          />
          <TextField
            label="Who"
            value={draft.actor}
            placeholder="user:… or key:3"
            onText={(actor) => set({ actor })}
          />
          <TextField
            label="Act"
            value={draft.action}
            placeholder="key, or key:create"
            onText={(action) => set({ action })}
          />
          <TextField
            label="On what"
            value={draft.resource}
            placeholder="acme/hq"
            onText={(resource) => set({ resource })}
          />
          <ChoiceField
            label="Outcome"
            value={draft.outcome}
            choices={[
              ["", "all"],
              ["done", "done"],
              ["refused", "refused"],
            ]}
            onChoice={(outcome) => set({ outcome })}
          />
          <button type="submit" class="button">
            Filter
          </button>
        </form>
      }
      columns={[
        { title: "When", cell: ({ at_ms }) => <Moment ms={at_ms} /> },
        { title: "Who", cell: (entry) => <Who entry={entry} /> },
        {
          title: "Act",
          cell: ({ action, outcome }) => (
            <>
              <span class="code">{action}</span>
              {outcome === "refused" && <b class="warn"> refused</b>}
            </>
          ),
        },
        { title: "On what", cell: ({ resource }) => <span class="code">{resource}</span> },
        { title: "Before and after", cell: (entry) => <Change entry={entry} /> },
        {
          title: "Chain",
          cell: ({ chain, seq, hash }) => (
            <span class="soft code" title={`Hash ${hash}`}>
              {chain} {seq}
            </span>
          ),
        },
      ]}
    />
  );
}

/** The person's name where it is known, and where the request came from. */
function Who({ entry }: { entry: Audit }) {
  const known = entry.personal[entry.actor];
  const more = known ? Object.entries(known).filter(([name]) => name !== "name") : [];
  return (
    <>
      {known?.name ?? (known === null ? "erased" : "")} <span class="soft code">{entry.actor}</span>
      {more.length > 0 && (
        <details class="details">
          <summary>More</summary>
          {more.map(([name, text]) => (
            <p key={name} class="soft">
              {name}: {text}
            </p>
          ))}
        </details>
      )}
    </>
  );
}

function Change({ entry: { before, after, personal, actor } }: { entry: Audit }) {
  const others = Object.entries(personal).filter(([subject]) => subject !== actor);
  return (
    <>
      {before !== null && <p class="code soft">{JSON.stringify(before)}</p>}
      {after !== null && <p class="code">{JSON.stringify(after)}</p>}
      {others.map(([subject, texts]) => (
        <p key={subject} class="soft">
          {texts === null ? `${subject}: erased` : Object.values(texts).join(", ")}
        </p>
      ))}
    </>
  );
}
