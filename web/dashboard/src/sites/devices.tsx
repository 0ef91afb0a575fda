import { useState } from "preact/hooks";
import { useList } from "../admin/use-list";
import { pathOf, send } from "../api/client";
import type {
  CreatedEnrolmentCode,
  Device,
  Devices as DevicesAnswer,
  Sites as SitesAnswer,
} from "../api/types";
import { serverNow } from "../clock";
import { may, session } from "../session";
import { useStore } from "../store";
import { Dialog } from "../ui/dialog";
import { Form, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { Problem } from "../ui/problem";
import { SecretDialog } from "../ui/secret";
import { Table } from "../ui/table";

const PATH = "/api/v1/devices";
const RENEWABLE_MS = 30 * 86_400_000;
const SITES_PATH = "/api/v1/sites";
const SHOWN_SITES = 5;
const rowsOf = ({ devices }: DevicesAnswer) => devices;
const sitesOf = ({ sites }: SitesAnswer) => sites;

type Act =
  | { name: "code"; device: Device | null }
  | { name: "show"; code: CreatedEnrolmentCode }
  | { name: "revoke" | "unlock"; device: Device };

/** Devices with an identity: their states in plain words, codes, revocation. */
export function Devices() {
  const list = useList(PATH, rowsOf);
  const [act, setAct] = useState<Act | null>(null);
  const isAdmin = may(useStore(session), "site:configure");
  const close = (): void => setAct(null);
  const done = (): void => {
    close();
    list.reload();
  };
  return (
    <section class="devices" aria-labelledby="devices-title">
      <div class="admin-head">
        <h2 id="devices-title">Identities of devices</h2>
        {isAdmin && (
          <button
            type="button"
            class="button primary"
            onClick={() => setAct({ name: "code", device: null })}
          >
            Enrol a device
          </button>
        )}
      </div>
      <UnsignedSites />
      {list.error && (
        <Problem
          title="Devices cannot be loaded"
          detail={list.error.message}
          action="Try now"
          onAction={list.reload}
        />
      )}
      {list.rows?.length === 0 && (
        <p class="notice">
          No device is enrolled. An enrolled device signs what it sends, so that no other one can
          speak for its cameras.
        </p>
      )}
      {list.rows !== null && list.rows.length > 0 && (
        <Table
          caption="Identities of devices"
          rows={list.rows}
          keyOf={({ device }) => device}
          columns={[
            { title: "Device", cell: ({ device }) => <span class="code">{device}</span> },
            { title: "State", cell: (device) => <IdentityState device={device} /> },
            { title: "Renewed", cell: ({ renewed_ms }) => <Moment ms={renewed_ms} /> },
            {
              title: "Change",
              actions: true,
              cell: (device) =>
                isAdmin && (
                  <>
                    <button
                      type="button"
                      class="button small"
                      onClick={() => setAct({ name: "code", device })}
                    >
                      Enrol again
                    </button>
                    {device.state === "locked" && (
                      <button
                        type="button"
                        class="button small"
                        onClick={() => setAct({ name: "unlock", device })}
                      >
                        Unlock
                      </button>
                    )}
                    {device.state !== "revoked" && (
                      <button
                        type="button"
                        class="button small"
                        onClick={() => setAct({ name: "revoke", device })}
                      >
                        Revoke
                      </button>
                    )}
                  </>
                ),
            },
          ]}
        />
      )}
      {list.hasMore && (
        <div class="more">
          <button type="button" class="button" onClick={list.more}>
            Show more
          </button>
        </div>
      )}
      {act?.name === "code" && (
        <EnrolmentDialog
          device={act.device}
          onCreated={(code) => setAct({ name: "show", code })}
          onClose={close}
        />
      )}
      {act?.name === "show" && (
        <SecretDialog
          title={`Code for ${act.code.device ?? act.code.site}`}
          text={act.code.code}
          advice="On the device, run “vigil edge enrol” with this code. It enrols one device, within 24 hours. It is shown only once."
          onClose={done}
        />
      )}
      {act?.name === "revoke" && (
        <ChangeDialog
          path={`${PATH}/${pathOf(act.device.device)}/revoke`}
          title={`Revoke ${act.device.device}`}
          text="Within 5 seconds nothing that it sends is accepted. It goes on recording, and uploads nothing. A new code enrols it again."
          action="Revoke device"
          onDone={done}
          onClose={close}
        />
      )}
      {act?.name === "unlock" && (
        <ChangeDialog
          path={`${PATH}/${pathOf(act.device.device)}/unlock`}
          title={`Unlock ${act.device.device}`}
          text="Do this only when the copy is gone. Where two devices still have the identity, it is locked again. Where a stranger may have the copy, choose “Enrol again” instead: then the device makes a new key."
          action="Unlock device"
          onDone={done}
          onClose={close}
        />
      )}
    </section>
  );
}

/** Sites whose events need no signature: anyone who reaches the queue can speak for their cameras. */
function UnsignedSites() {
  const { rows } = useList(SITES_PATH, sitesOf);
  const open = (rows ?? []).filter(({ unsigned }) => unsigned !== "refuse").map(({ id }) => id);
  if (open.length === 0) return null;
  const more = open.length > SHOWN_SITES ? ` and ${open.length - SHOWN_SITES} more` : "";
  return (
    <p class="notice" role="status">
      <span class="state late">
        {open.length === 1 ? "1 site accepts" : `${open.length} sites accept`} events that no device
        signed
      </span>{" "}
      <span class="code">{open.slice(0, SHOWN_SITES).join(", ")}</span>
      {more}. Enrol all devices of a site, then let it refuse them: Administration, Sites.
    </p>
  );
}

/** The state in plain words: why, and what to do. */
function IdentityState({ device }: { device: Device }) {
  const { state, detail, expires_ms, revoked_ms } = device;
  if (state === "locked") {
    return (
      <>
        <span class="state offline">Locked: nothing is uploaded</span>{" "}
        <span class="soft">
          Two devices have this identity. {detail} Find the copy. Then enrol the right device again,
          or unlock it.
        </span>
      </>
    );
  }
  if (state === "revoked") {
    return (
      <>
        <span class="state offline">Revoked</span>{" "}
        <span class="soft">
          <Moment ms={revoked_ms} />. Nothing that it sends is accepted. A new code enrols it again.
        </span>
      </>
    );
  }
  const nowMs = serverNow();
  if (nowMs > expires_ms + RENEWABLE_MS) {
    return (
      <>
        <span class="state offline">Away for too long</span>{" "}
        <span class="soft">
          Its certificate expired <Moment ms={expires_ms} />, more than 30 days ago. Enrol it again.
        </span>
      </>
    );
  }
  if (nowMs > expires_ms) {
    return (
      <>
        <span class="state late">Certificate expired</span>{" "}
        <span class="soft">
          <Moment ms={expires_ms} />. The device renews it by itself when it is back.
        </span>
      </>
    );
  }
  return (
    <>
      <span class="state recording">Enrolled</span>{" "}
      <span class="soft">
        certificate until <Moment ms={expires_ms} />
      </span>
    </>
  );
}

interface EnrolmentProps {
  /** null: a new device. */
  readonly device: Device | null;
  onCreated(code: CreatedEnrolmentCode): void;
  onClose(): void;
}

function EnrolmentDialog({ device, onCreated, onClose }: EnrolmentProps) {
  const [site, setSite] = useState(device?.site ?? "");
  const create = async (): Promise<void> => {
    const path = `/api/v1/sites/${pathOf(site.trim())}/enrolment-codes`;
    const body = device === null ? {} : { device: device.device.split("/")[2] };
    onCreated(await send<CreatedEnrolmentCode>(path, { method: "POST", body }));
  };
  return (
    <Dialog title={device ? `Enrol ${device.device} again` : "Enrol a device"} onClose={onClose}>
      <Form action="Make a code" onSend={create} onCancel={onClose}>
        {device ? (
          <p>The device makes a new key. Copies of its disk are then worth nothing.</p>
        ) : (
          <TextField
            label="Site"
            value={site}
            required
            placeholder="tenant/site"
            help="The device may send only about cameras of this site."
            onText={setSite}
          />
        )}
      </Form>
    </Dialog>
  );
}

interface ChangeProps {
  readonly path: string;
  readonly title: string;
  readonly text: string;
  readonly action: string;
  onDone(): void;
  onClose(): void;
}

function ChangeDialog({ path, title, text, action, onDone, onClose }: ChangeProps) {
  const [why, setWhy] = useState("");
  const change = async (): Promise<void> => {
    await send(path, { method: "POST", body: { why: why.trim() } });
    onDone();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <Form action={action} dangerous onSend={change} onCancel={onClose}>
        <TextField label="Reason" value={why} required maxLength={500} onText={setWhy} />
      </Form>
    </Dialog>
  );
}
