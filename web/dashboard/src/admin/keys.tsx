import { useState } from "preact/hooks";
import { send } from "../api/client";
import type { CreatedKey, Key, Keys as KeysAnswer } from "../api/types";
import { serverNow } from "../clock";
import { session } from "../session";
import { useStore } from "../store";
import { Dialog } from "../ui/dialog";
import { ChoiceField, Form, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { SecretDialog } from "../ui/secret";
import { Grants, GrantsField } from "./grants";
import { ListView } from "./list-view";
import { useList } from "./use-list";

const PATH = "/api/v1/keys";
const DAY_MS = 86_400_000;
const rowsOf = ({ keys }: KeysAnswer) => keys;

type Act =
  | { name: "create" }
  | { name: "show"; key: CreatedKey }
  | { name: "rotate" | "revoke"; key: Key };

/** API keys: create, rotate, revoke. */
export function Keys() {
  const [ended, setEnded] = useState(false);
  const list = useList(`${PATH}?ended=${ended ? 1 : 0}`, rowsOf);
  const [act, setAct] = useState<Act | null>(null);
  const me = useStore(session)?.id ?? null;
  const close = (): void => setAct(null);
  const shown = (key: CreatedKey): void => {
    setAct({ name: "show", key });
    list.reload();
  };
  const done = (): void => {
    close();
    list.reload();
  };
  return (
    <>
      <ListView
        title="API keys"
        lead="Keys are for programs and edge devices. People sign in as users."
        list={list}
        empty="There is no key that you may manage."
        keyOf={({ id }) => `${id}`}
        actions={
          <>
            <label class="form-check">
              <input
                type="checkbox"
                checked={ended}
                onChange={(event) => setEnded(event.currentTarget.checked)}
              />
              Also ended ones
            </label>
            <button type="button" class="button primary" onClick={() => setAct({ name: "create" })}>
              Create a key
            </button>
          </>
        }
        columns={[
          {
            title: "Name",
            cell: ({ name, hint }) => (
              <>
                {name} <span class="soft code">{hint}…</span>
              </>
            ),
          },
          {
            title: "Owner",
            cell: ({ owner, edge_of }) =>
              owner === null
                ? edge_of === null
                  ? "a service"
                  : "a device"
                : owner === me
                  ? "you"
                  : "a person",
          },
          { title: "Roles", cell: ({ grants }) => <Grants grants={grants} /> },
          { title: "State", cell: ({ state }) => state },
          { title: "Last used", cell: ({ used_ms }) => <Moment ms={used_ms} none="never" /> },
          { title: "Expires", cell: ({ expires_ms }) => <Moment ms={expires_ms} none="never" /> },
          {
            title: "Networks",
            cell: ({ networks }) =>
              networks ? networks.join(", ") : <span class="soft">any</span>,
          },
          {
            title: "Change",
            actions: true,
            cell: (key) =>
              key.state === "valid" && (
                <>
                  <button
                    type="button"
                    class="button small"
                    onClick={() => setAct({ name: "rotate", key })}
                  >
                    Rotate
                  </button>
                  <button
                    type="button"
                    class="button small"
                    onClick={() => setAct({ name: "revoke", key })}
                  >
                    Revoke
                  </button>
                </>
              ),
          },
        ]}
      />
      {act?.name === "create" && <CreateKey onCreated={shown} onClose={close} />}
      {act?.name === "rotate" && <RotateKey item={act.key} onCreated={shown} onClose={close} />}
      {act?.name === "revoke" && <RevokeKey item={act.key} onDone={done} onClose={close} />}
      {act?.name === "show" && (
        <SecretDialog
          title={`Key of ${act.key.name}`}
          text={act.key.key}
          advice="Copy the key now. It is shown only once, and stored nowhere."
          onClose={close}
        />
      )}
    </>
  );
}

interface CreateProps {
  onCreated(key: CreatedKey): void;
  onClose(): void;
}

const LIFETIMES = [
  ["30", "in 30 days"],
  ["90", "in 90 days"],
  ["365", "in 365 days"],
  ["", "never"],
] as const;

const OWNERS = [
  ["me", "you: it does no more than you may, and ends with you"],
  ["service", "a service: it goes on without you"],
] as const;

function CreateKey({ onCreated, onClose }: CreateProps) {
  const [name, setName] = useState("");
  const [grants, setGrants] = useState<string[]>([]);
  const [days, setDays] = useState("90");
  const [networks, setNetworks] = useState("");
  const [owner, setOwner] = useState("me");
  const isPerson = useStore(session)?.id.startsWith("user:") ?? false;
  const create = async (): Promise<void> => {
    const listed = networks.split(/[\s,]+/).filter(Boolean);
    const body = {
      name: name.trim(),
      grants,
      expires_ms: days ? serverNow() + Number(days) * DAY_MS : null,
      networks: listed.length > 0 ? listed : null,
      service: owner === "service",
    };
    onCreated(await send<CreatedKey>(PATH, { method: "POST", body }));
  };
  return (
    <Dialog title="Create an API key" onClose={onClose}>
      <Form action="Create key" disabled={grants.length === 0} onSend={create} onCancel={onClose}>
        <TextField
          label="Name"
          value={name}
          required
          maxLength={100}
          help="The program or device that uses it."
          onText={setName}
        />
        <GrantsField grants={grants} devices onChange={setGrants} />
        {isPerson && (
          <ChoiceField label="Belongs to" value={owner} choices={OWNERS} onChoice={setOwner} />
        )}
        <ChoiceField label="Expires" value={days} choices={LIFETIMES} onChoice={setDays} />
        <TextField
          label="Networks"
          value={networks}
          placeholder="10.1.0.0/16"
          help="Only clients of these may use it. Empty: any."
          onText={setNetworks}
        />
      </Form>
    </Dialog>
  );
}

function RotateKey({ item, onCreated, onClose }: CreateProps & { item: Key }) {
  const [days, setDays] = useState("7");
  const rotate = async (): Promise<void> => {
    const body = { old_expires_ms: serverNow() + Number(days) * DAY_MS };
    onCreated(await send<CreatedKey>(`${PATH}/${item.id}/rotate`, { method: "POST", body }));
  };
  return (
    <Dialog title={`Rotate the key of ${item.name}`} onClose={onClose}>
      <p>
        This creates a second key with the same roles. Both are valid until the old one expires:
        change the program in that time.
      </p>
      <Form action="Create the new key" onSend={rotate} onCancel={onClose}>
        <ChoiceField
          label="The old key expires"
          value={days}
          choices={[
            ["1", "in 1 day"],
            ["7", "in 7 days"],
            ["30", "in 30 days"],
          ]}
          onChoice={setDays}
        />
      </Form>
    </Dialog>
  );
}

function RevokeKey({ item, onDone, onClose }: { item: Key; onDone(): void; onClose(): void }) {
  const revoke = async (): Promise<void> => {
    await send(`${PATH}/${item.id}`, { method: "DELETE" });
    onDone();
  };
  return (
    <Dialog title={`Revoke the key of ${item.name}`} onClose={onClose}>
      <p>Programs that use it are rejected within 5 seconds. This cannot be undone.</p>
      <Form action="Revoke key" dangerous onSend={revoke} onCancel={onClose}>
        {item.used_ms !== null && (
          <p class="form-help">
            Last used: <Moment ms={item.used_ms} />.
          </p>
        )}
      </Form>
    </Dialog>
  );
}
