import { useState } from "preact/hooks";
import { send } from "../api/client";
import type { FootageAmount, PreviewAnswer, Rule, Rules } from "../api/types";
import { bytesText } from "../format";
import { Dialog } from "../ui/dialog";
import { Fact } from "../ui/fact";
import { Form, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { ListView } from "./list-view";
import { ScopeField, scopeText } from "./scope-field";
import { useList } from "./use-list";

const PATH = "/api/v1/retention";
const rowsOf = ({ rules }: Rules) => rules;

/** A change of a rule; days null: the rule is removed. */
interface Change {
  readonly scope: string;
  readonly days: number | null;
}

/** Retention rules. What a change deletes is shown before it is confirmed. */
export function Retention() {
  const list = useList(`${PATH}/rules`, rowsOf);
  const [editing, setEditing] = useState<Rule | "new" | null>(null);
  const [preview, setPreview] = useState<PreviewAnswer | null>(null);
  const show = async (change: Change): Promise<void> => {
    setPreview(await send<PreviewAnswer>(`${PATH}/preview`, { method: "POST", body: change }));
    setEditing(null);
  };
  const close = (): void => {
    setPreview(null);
    setEditing(null);
  };
  const done = (): void => {
    close();
    list.reload();
  };
  return (
    <>
      <ListView
        title="Retention"
        lead="Footage older than its rule is deleted. The most specific rule counts: camera before site before tenant. Without a rule, footage is kept."
        list={list}
        empty="There is no rule: all footage is kept."
        keyOf={({ scope }) => scope}
        actions={
          <button type="button" class="button primary" onClick={() => setEditing("new")}>
            Set a rule
          </button>
        }
        columns={[
          { title: "Footage of", cell: ({ scope }) => scopeText(scope) },
          { title: "Kept for", cell: ({ days }) => daysText(days) },
          {
            title: "Set",
            cell: ({ set_by, set_ms }) => (
              <>
                <Moment ms={set_ms} /> <span class="soft">by {set_by}</span>
              </>
            ),
          },
          {
            title: "Change",
            actions: true,
            cell: (rule) => (
              <button type="button" class="button small" onClick={() => setEditing(rule)}>
                Change
              </button>
            ),
          },
        ]}
      />
      {editing && (
        <RuleDialog rule={editing === "new" ? null : editing} onShow={show} onClose={close} />
      )}
      {preview && <PreviewDialog preview={preview} onDone={done} onClose={close} onAgain={show} />}
    </>
  );
}

function daysText(days: number | null): string {
  if (days === null) return "as the wider rule says";
  return days === 1 ? "1 day" : `${days} days`;
}

interface RuleProps {
  readonly rule: Rule | null;
  onShow(change: Change): Promise<void>;
  onClose(): void;
}

function RuleDialog({ rule, onShow, onClose }: RuleProps) {
  const [scope, setScope] = useState(rule?.scope ?? "");
  const [days, setDays] = useState(rule ? `${rule.days}` : "30");
  const [remove, setRemove] = useState(false);
  const show = (): Promise<void> =>
    onShow({ scope: scope.trim(), days: remove ? null : Number.parseInt(days, 10) });
  return (
    <Dialog title={rule ? `Rule of ${scopeText(rule.scope)}` : "Set a rule"} onClose={onClose}>
      <Form action="Show what it deletes" onSend={show} onCancel={onClose}>
        {!rule && (
          <ScopeField
            label="Footage of"
            value={scope}
            help="A tenant, tenant/site or tenant/site/camera."
            onText={setScope}
          />
        )}
        {!remove && (
          <TextField
            label="Keep for (days of 24 h)"
            type="number"
            value={days}
            required
            onText={setDays}
          />
        )}
        {rule && (
          <label class="form-check">
            <input
              type="checkbox"
              checked={remove}
              onChange={(event) => setRemove(event.currentTarget.checked)}
            />
            Remove this rule, so that the wider one counts
          </label>
        )}
      </Form>
    </Dialog>
  );
}

interface PreviewProps {
  readonly preview: PreviewAnswer;
  onDone(): void;
  onClose(): void;
  onAgain(change: Change): Promise<void>;
}

function PreviewDialog({ preview, onDone, onClose, onAgain }: PreviewProps) {
  const { scope, days, deleted, due, held } = preview;
  const [stale, setStale] = useState(false);
  const confirm = async (): Promise<void> => {
    const path = `${PATH}/rule?scope=${encodeURIComponent(scope)}`;
    try {
      if (days === null) await send(path, { method: "DELETE", etag: preview.etag });
      else await send(path, { method: "PUT", body: { days }, etag: preview.etag });
    } catch (failure) {
      setStale(true);
      throw failure;
    }
    onDone();
  };
  const nothing = deleted.chunks + deleted.fragments === 0;
  return (
    <Dialog title={`Keep footage of ${scopeText(scope)}: ${daysText(days)}`} onClose={onClose}>
      {nothing ? (
        <p>No footage is old enough yet. Nothing is deleted now.</p>
      ) : (
        <dl class="facts" data-preview="deleted">
          <Fact name="Deleted">
            <b>{amountText(deleted)}</b>, of{" "}
            {preview.cameras === 1 ? "1 camera" : `${preview.cameras} cameras`}
          </Fact>
          <Fact name="From">
            <Moment ms={preview.oldest_ms} />
          </Fact>
          <Fact name="To">
            <Moment ms={preview.newest_ms} />
          </Fact>
          <Fact name="Of these, the present rules delete too">{amountText(due)}</Fact>
          <Fact name="Kept by legal holds">
            {amountText(held)}
            {preview.holds.length > 0 && ` (hold ${preview.holds.join(", ")})`}
          </Fact>
          <Fact name="Cameras">{camerasText(preview)}</Fact>
        </dl>
      )}
      <Form
        action={nothing ? "Set rule" : "Delete this footage"}
        dangerous={!nothing}
        onSend={confirm}
        onCancel={onClose}
      >
        {stale && (
          <button type="button" class="button" onClick={() => void onAgain({ scope, days })}>
            Show again what it deletes
          </button>
        )}
        {!nothing && <p class="form-help">Deleted footage cannot be restored.</p>}
      </Form>
    </Dialog>
  );
}

function amountText({ chunks, fragments, size_bytes }: FootageAmount): string {
  if (chunks + fragments === 0) return "none";
  const parts = [];
  if (chunks > 0) parts.push(chunks === 1 ? "1 chunk" : `${chunks} chunks`);
  if (fragments > 0) parts.push(fragments === 1 ? "1 fragment" : `${fragments} fragments`);
  return `${bytesText(size_bytes)} (${parts.join(", ")})`;
}

function camerasText({ cameras, camera_ids }: PreviewAnswer): string {
  const named = camera_ids.slice(0, 10).join(", ");
  return cameras > 10 ? `${named} and ${cameras - 10} more` : named;
}
