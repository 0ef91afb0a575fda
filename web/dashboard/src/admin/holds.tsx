import { useState } from "preact/hooks";
import { send } from "../api/client";
import type { Hold, Holds as HoldsAnswer } from "../api/types";
import { serverNow } from "../clock";
import { fieldMoment, fieldValue, zoneLabel } from "../format";
import { Dialog } from "../ui/dialog";
import { Form, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { useZone } from "../zone";
import { ListView } from "./list-view";
import { ScopeField, scopeText } from "./scope-field";
import { useList } from "./use-list";

const HOUR_MS = 3_600_000;
const rowsOf = ({ holds }: HoldsAnswer) => holds;

/** Legal holds: place and lift. */
export function Holds() {
  const [lifted, setLifted] = useState(false);
  const list = useList(`/api/v1/holds?lifted=${lifted ? 1 : 0}`, rowsOf);
  const [placing, setPlacing] = useState(false);
  const [lifting, setLifting] = useState<Hold | null>(null);
  const done = (): void => {
    setPlacing(false);
    setLifting(null);
    list.reload();
  };
  return (
    <>
      <ListView
        title="Legal holds"
        lead="Retention deletes nothing that a hold covers. A lifted hold stays on record."
        list={list}
        empty="There is no legal hold. Retention deletes all footage that is old enough."
        keyOf={({ id }) => `${id}`}
        actions={
          <>
            <label class="form-check">
              <input
                type="checkbox"
                checked={lifted}
                onChange={(event) => setLifted(event.currentTarget.checked)}
              />
              Also lifted ones
            </label>
            <button type="button" class="button primary" onClick={() => setPlacing(true)}>
              Place a hold
            </button>
          </>
        }
        columns={[
          { title: "Number", cell: ({ id }) => id },
          { title: "Footage of", cell: ({ scope }) => scopeText(scope) },
          { title: "From", cell: ({ from_ms }) => <Moment ms={from_ms} /> },
          { title: "To", cell: ({ to_ms }) => <Moment ms={to_ms} none="no end" /> },
          { title: "Why", cell: ({ why }) => why },
          {
            title: "Placed",
            cell: ({ placed_by, placed_ms }) => (
              <>
                <Moment ms={placed_ms} /> <span class="soft">by {placed_by}</span>
              </>
            ),
          },
          {
            title: "Lift",
            actions: true,
            cell: (hold) =>
              hold.lifted_ms === null ? (
                <button type="button" class="button small" onClick={() => setLifting(hold)}>
                  Lift
                </button>
              ) : (
                <span class="soft">
                  Lifted <Moment ms={hold.lifted_ms} />
                </span>
              ),
          },
        ]}
      />
      {placing && <PlaceHold onDone={done} onClose={() => setPlacing(false)} />}
      {lifting && <LiftHold hold={lifting} onDone={done} onClose={() => setLifting(null)} />}
    </>
  );
}

interface ActProps {
  onDone(): void;
  onClose(): void;
}

function PlaceHold({ onDone, onClose }: ActProps) {
  const zone = useZone();
  const now = serverNow();
  const [scope, setScope] = useState("");
  const [from, setFrom] = useState(fieldValue(now - HOUR_MS, zone).slice(0, 16));
  const [to, setTo] = useState("");
  const [why, setWhy] = useState("");
  const place = async (): Promise<void> => {
    const fromMs = fieldMoment(from, zone);
    if (fromMs === null) throw new Error("Enter the time from which footage is kept.");
    const toMs = to ? fieldMoment(to, zone) : null;
    const body = { scope: scope.trim(), from_ms: fromMs, to_ms: toMs, why: why.trim() };
    await send("/api/v1/holds", { method: "POST", body });
    onDone();
  };
  return (
    <Dialog title="Place a legal hold" onClose={onClose}>
      <Form action="Place hold" onSend={place} onCancel={onClose}>
        <ScopeField
          label="Footage of"
          value={scope}
          help="A tenant, tenant/site or tenant/site/camera."
          onText={setScope}
        />
        <div class="form-row">
          <TextField
            label={`From (${zoneLabel(now, zone)})`}
            type="datetime-local"
            value={from}
            required
            onText={setFrom}
          />
          <TextField
            label={`To (${zoneLabel(now, zone)})`}
            type="datetime-local"
            value={to}
            help="Empty: no end."
            onText={setTo}
          />
        </div>
        <TextField
          label="Why"
          value={why}
          required
          maxLength={500}
          help="Such as the number of the case. Auditors read it."
          onText={setWhy}
        />
      </Form>
    </Dialog>
  );
}

function LiftHold({ hold, onDone, onClose }: ActProps & { hold: Hold }) {
  const [why, setWhy] = useState("");
  const lift = async (): Promise<void> => {
    await send(`/api/v1/holds/${hold.id}/lift`, { method: "POST", body: { why: why.trim() } });
    onDone();
  };
  return (
    <Dialog title={`Lift hold ${hold.id}`} onClose={onClose}>
      <p>
        Retention may then delete the footage of <b>{scopeText(hold.scope)}</b> that this hold kept.
        The hold itself stays on record.
      </p>
      <Form action="Lift hold" dangerous onSend={lift} onCancel={onClose}>
        <TextField label="Why" value={why} required maxLength={500} onText={setWhy} />
      </Form>
    </Dialog>
  );
}
