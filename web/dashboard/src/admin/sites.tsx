import { useEffect, useState } from "preact/hooks";
import { getVersioned, pathOf, send } from "../api/client";
import type { Site, Sites } from "../api/types";
import { useServerNow } from "../clock";
import { hourMinute, zoneLabel } from "../format";
import { Dialog } from "../ui/dialog";
import { ChoiceField, Form, failureText, TextField } from "../ui/form";
import { ListView } from "./list-view";
import { useList } from "./use-list";

const PATH = "/api/v1/sites";
const rowsOf = ({ sites }: Sites) => sites;
const ZONES: readonly string[] = Intl.supportedValuesOf("timeZone");
const UNSIGNED: readonly (readonly [Site["unsigned"], string])[] = [
  ["refuse", "Refuse"],
  ["warn", "Accept and warn"],
  ["accept", "Accept"],
];
const UNSIGNED_TEXT = new Map(UNSIGNED);

/** Sites: create, rename, set the time zone. */
export function AdminSites() {
  const list = useList(PATH, rowsOf);
  const nowMs = useServerNow();
  const [editing, setEditing] = useState<Site | "new" | null>(null);
  const close = (): void => setEditing(null);
  const done = (): void => {
    close();
    list.reload();
  };
  return (
    <>
      <ListView
        title="Sites"
        lead="A site is created with its first camera, or here. Its time zone says when it is day there."
        list={list}
        empty="There is no site yet."
        keyOf={({ id }) => id}
        actions={
          <button type="button" class="button primary" onClick={() => setEditing("new")}>
            Create a site
          </button>
        }
        columns={[
          { title: "Name", cell: ({ name }) => name },
          { title: "Id", cell: ({ id }) => <span class="code">{id}</span> },
          {
            title: "Time zone",
            cell: ({ zone }) => (
              <>
                {zone}{" "}
                <span class="soft">
                  {hourMinute(nowMs, { name: zone })} {zoneLabel(nowMs, { name: zone })}
                </span>
              </>
            ),
          },
          {
            title: "Unsigned events",
            cell: ({ unsigned }) => (
              <span class={unsigned === "refuse" ? "soft" : "state late"}>
                {UNSIGNED_TEXT.get(unsigned)}
              </span>
            ),
          },
          {
            title: "Change",
            actions: true,
            cell: (site) => (
              <button type="button" class="button small" onClick={() => setEditing(site)}>
                Change
              </button>
            ),
          },
        ]}
      />
      {editing === "new" && <CreateSite onDone={done} onClose={close} />}
      {editing && editing !== "new" && <ChangeSite id={editing.id} onDone={done} onClose={close} />}
    </>
  );
}

interface DialogProps {
  onDone(): void;
  onClose(): void;
}

function CreateSite({ onDone, onClose }: DialogProps) {
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const [zone, setZone] = useState(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
  const [unsigned, setUnsigned] = useState("refuse");
  const create = async (): Promise<void> => {
    const body = { id: id.trim(), name: name.trim(), zone, unsigned };
    await send(PATH, { method: "POST", body });
    onDone();
  };
  return (
    <Dialog title="Create a site" onClose={onClose}>
      <Form action="Create site" onSend={create} onCancel={onClose}>
        <TextField
          label="Id"
          value={id}
          required
          placeholder="tenant/site"
          help="Lower-case letters, digits and hyphens. It cannot be changed later."
          onText={setId}
        />
        <TextField label="Name" value={name} required maxLength={100} onText={setName} />
        <ZoneField zone={zone} onZone={setZone} />
        <UnsignedField value={unsigned} onValue={setUnsigned} />
      </Form>
    </Dialog>
  );
}

/** Loads the site first: its version shows whether somebody else changes it too. */
function ChangeSite({ id, onDone, onClose }: DialogProps & { id: string }) {
  const path = `${PATH}/${pathOf(id)}`;
  const [etag, setEtag] = useState<string | null>(null);
  const [name, setName] = useState("");
  const [zone, setZone] = useState("");
  const [unsigned, setUnsigned] = useState("");
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    getVersioned<Site>(path)
      .then(({ value, etag: version }) => {
        setName(value.name);
        setZone(value.zone);
        setUnsigned(value.unsigned);
        setEtag(version);
      })
      .catch((failure: unknown) => setError(failureText(failure)));
  }, [path]);
  const change = async (): Promise<void> => {
    await send(path, { method: "PATCH", body: { name: name.trim(), zone, unsigned }, etag });
    onDone();
  };
  return (
    <Dialog title={`Change ${id}`} onClose={onClose}>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <Form action="Save" disabled={etag === null} onSend={change} onCancel={onClose}>
        <TextField label="Name" value={name} required maxLength={100} onText={setName} />
        <ZoneField zone={zone} onZone={setZone} />
        <UnsignedField value={unsigned} onValue={setUnsigned} />
      </Form>
    </Dialog>
  );
}

function UnsignedField({ value, onValue }: { value: string; onValue(value: string): void }) {
  return (
    <ChoiceField
      label="Events that no device signed"
      value={value}
      choices={UNSIGNED}
      onChoice={onValue}
    />
  );
}

function ZoneField({ zone, onZone }: { zone: string; onZone(zone: string): void }) {
  return (
    <div class="form-field">
      <label for="zone">Time zone</label>
      <input
        id="zone"
        list="zones"
        autocomplete="off"
        spellcheck={false}
        required
        value={zone}
        onInput={(event) => onZone(event.currentTarget.value)}
      />
      <datalist id="zones">
        {["UTC", ...ZONES].map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </div>
  );
}
