import { useState } from "preact/hooks";
import { send } from "../api/client";
import type { SecondFactorRules } from "../api/types";
import { Dialog } from "../ui/dialog";
import { Form, failureText, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { Table } from "../ui/table";
import { useList } from "./use-list";

const PATH = "/api/v1/second-factor";
const rowsOf = ({ rules }: SecondFactorRules) => rules;

const ruleOf = (scope: string): string => `${PATH}/rule?scope=${encodeURIComponent(scope)}`;

/** Where users whose roles change or export something need a second factor. */
export function SecondFactorDialog({ onClose }: { onClose(): void }) {
  const list = useList(`${PATH}/rules`, rowsOf);
  const [scope, setScope] = useState("");
  const [error, setError] = useState<string | null>(null);
  const require = async (): Promise<void> => {
    await send(ruleOf(scope.trim()), { method: "PUT" });
    setScope("");
    list.reload();
  };
  const release = async (of: string): Promise<void> => {
    setError(null);
    try {
      await send(ruleOf(of), { method: "DELETE" });
      list.reload();
    } catch (failure) {
      setError(failureText(failure));
    }
  };
  return (
    <Dialog title="Second factor" wide onClose={onClose}>
      <p>
        Operators, admins and auditors in these scopes need one. Who has none can set it up after
        the password, and do nothing else. It counts within 5 seconds, for open sessions too.
      </p>
      {list.rows !== null && list.rows.length > 0 ? (
        <Table
          caption="Where it is required"
          rows={list.rows}
          keyOf={(rule) => rule.scope}
          columns={[
            { title: "Required on", cell: (rule) => <span class="code">{rule.scope}</span> },
            { title: "Since", cell: (rule) => <Moment ms={rule.set_ms} /> },
            { title: "By", cell: (rule) => rule.set_by || "an administrator" },
            {
              title: "Change",
              actions: true,
              cell: (rule) => (
                <button type="button" class="button small" onClick={() => void release(rule.scope)}>
                  Release
                </button>
              ),
            },
          ]}
        />
      ) : (
        <p class="form-help">{list.rows === null ? "Loading…" : "It is required nowhere."}</p>
      )}
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <Form action="Require" disabled={!scope.trim()} onSend={require} onCancel={onClose}>
        <TextField
          label="Require it on"
          value={scope}
          placeholder="acme"
          help="A tenant, or * for the whole installation."
          onText={setScope}
        />
      </Form>
    </Dialog>
  );
}
