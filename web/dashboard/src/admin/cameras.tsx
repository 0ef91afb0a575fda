import { useState } from "preact/hooks";
import { pathOf, send } from "../api/client";
import type { Camera, Cameras } from "../api/types";
import { Dialog } from "../ui/dialog";
import { Form, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { STATE_TEXT } from "../ui/text";
import { ListView } from "./list-view";
import { ScopeField } from "./scope-field";
import { useList } from "./use-list";

const PATH = "/api/v1/cameras";
const rowsOf = ({ cameras }: Cameras) => cameras;

type Act = { name: "create" } | { name: "rename" | "disable" | "retire"; camera: Camera };
type Change = { name?: string; disabled?: boolean; retired?: boolean };

/** Cameras: register, rename, disable, retire. */
export function AdminCamerasPage() {
  const [retired, setRetired] = useState(false);
  const list = useList(`${PATH}?limit=200&retired=${retired ? 1 : 0}`, rowsOf);
  const [act, setAct] = useState<Act | null>(null);
  const [error, setError] = useState<string | null>(null);
  const close = (): void => setAct(null);
  const done = (): void => {
    close();
    list.reload();
  };
  const change = async (camera: Camera, body: Change): Promise<void> => {
    const path = `${PATH}/${pathOf(camera.id)}`;
    await send(path, { method: "PATCH", body, etag: camera.etag });
    done();
  };
  /** A change that needs no question, because it can be undone. */
  const changeNow = (camera: Camera, body: Change): void => {
    setError(null);
    change(camera, body).catch((failure: Error) => setError(failure.message));
  };
  return (
    <>
      <ListView
        title="Cameras"
        lead="A disabled camera is not recorded. A retired camera is out of use: it leaves the wall, and its footage stays until retention deletes it."
        list={list}
        empty="No camera is registered yet."
        keyOf={({ id }) => id}
        actions={
          <>
            <label class="form-check">
              <input
                type="checkbox"
                checked={retired}
                onChange={(event) => setRetired(event.currentTarget.checked)}
              />
              Also retired ones
            </label>
            <button type="button" class="button primary" onClick={() => setAct({ name: "create" })}>
              Register a camera
            </button>
          </>
        }
        filters={
          error && (
            <p class="form-error" role="alert">
              {error}
            </p>
          )
        }
        columns={[
          { title: "Name", cell: ({ name }) => name },
          { title: "Id", cell: ({ id }) => <span class="code">{id}</span> },
          { title: "State", cell: (camera) => stateText(camera) },
          { title: "Newest footage", cell: ({ last_ms }) => <Moment ms={last_ms} none="none" /> },
          {
            title: "Change",
            actions: true,
            cell: (camera) => (
              <>
                <button
                  type="button"
                  class="button small"
                  onClick={() => setAct({ name: "rename", camera })}
                >
                  Rename
                </button>
                <button
                  type="button"
                  class="button small"
                  onClick={() =>
                    camera.disabled_ms === null
                      ? setAct({ name: "disable", camera })
                      : changeNow(camera, { disabled: false })
                  }
                >
                  {camera.disabled_ms === null ? "Disable" : "Enable"}
                </button>
                <button
                  type="button"
                  class="button small"
                  onClick={() =>
                    camera.retired_ms === null
                      ? setAct({ name: "retire", camera })
                      : changeNow(camera, { retired: false })
                  }
                >
                  {camera.retired_ms === null ? "Retire" : "Bring back"}
                </button>
              </>
            ),
          },
        ]}
      />
      {act?.name === "create" && <CreateCamera onDone={done} onClose={close} />}
      {act?.name === "rename" && (
        <RenameCamera
          camera={act.camera}
          onName={(name) => change(act.camera, { name })}
          onClose={close}
        />
      )}
      {act?.name === "disable" && (
        <Dialog title={`Disable ${act.camera.name}`} onClose={close}>
          <p>Its edge device stops recording it with the site's next configuration.</p>
          <Form
            action="Disable camera"
            dangerous
            onSend={() => change(act.camera, { disabled: true })}
            onCancel={close}
          />
        </Dialog>
      )}
      {act?.name === "retire" && (
        <Dialog title={`Retire ${act.camera.name}`} onClose={close}>
          <p>
            The camera leaves the wall and the alerts. Its footage stays until retention deletes it.
            If it still records, disable it first: new footage brings it back.
          </p>
          <Form
            action="Retire camera"
            dangerous
            onSend={() => change(act.camera, { retired: true })}
            onCancel={close}
          />
        </Dialog>
      )}
    </>
  );
}

function stateText({ state, disabled_ms, retired_ms }: Camera): string {
  if (retired_ms !== null) return disabled_ms === null ? "Retired" : "Retired, disabled";
  return disabled_ms === null ? STATE_TEXT[state] : "Disabled";
}

function CreateCamera({ onDone, onClose }: { onDone(): void; onClose(): void }) {
  const [site, setSite] = useState("");
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const create = async (): Promise<void> => {
    const body = { id: `${site.trim()}/${id.trim()}`, name: name.trim() };
    await send(PATH, { method: "POST", body });
    onDone();
  };
  return (
    <Dialog title="Register a camera" onClose={onClose}>
      <p class="soft">
        Its edge device needs it in the site's configuration too. Then its footage is accepted.
      </p>
      <Form action="Register camera" onSend={create} onCancel={onClose}>
        <ScopeField label="Site" value={site} help="tenant/site" onText={setSite} />
        <TextField
          label="Id"
          value={id}
          required
          maxLength={63}
          help="Lower-case letters, digits and hyphens. It cannot be changed later."
          onText={setId}
        />
        <TextField label="Name" value={name} required maxLength={100} onText={setName} />
      </Form>
    </Dialog>
  );
}

interface RenameProps {
  readonly camera: Camera;
  onName(name: string): Promise<void>;
  onClose(): void;
}

function RenameCamera({ camera, onName, onClose }: RenameProps) {
  const [name, setName] = useState(camera.name);
  return (
    <Dialog title={`Rename ${camera.id}`} onClose={onClose}>
      <Form action="Rename" onSend={() => onName(name.trim())} onCancel={onClose}>
        <TextField label="Name" value={name} required maxLength={100} onText={setName} />
      </Form>
    </Dialog>
  );
}
