import { useState } from "preact/hooks";
import { ChoiceField } from "../ui/form";
import { ScopeField, scopeText } from "./scope-field";

const ROLES = [
  ["viewer", "viewer: watches footage"],
  ["operator", "operator: also exports and holds"],
  ["admin", "admin: also configures, and manages users"],
  ["auditor", "auditor: reads the audit log only"],
  ["monitor", "monitor: a program that reads metrics"],
] as const;
const DEVICE_ROLE = ["edge", "edge: an edge device of a site"] as const;

/** Grants as chips: viewer on acme / hq. */
export function Grants({ grants }: { grants: readonly string[] }) {
  if (grants.length === 0) return <span class="soft">none</span>;
  return (
    <span class="tags">
      {grants.map((grant) => (
        <span class="tag" key={grant}>
          {grantText(grant)}
        </span>
      ))}
    </span>
  );
}

export function grantText(grant: string): string {
  const at = grant.indexOf(":");
  return `${grant.slice(0, at)} on ${scopeText(grant.slice(at + 1))}`;
}

interface Props {
  readonly grants: readonly string[];
  /** Whether the role of a device can be chosen. */
  readonly devices?: boolean;
  onChange(grants: string[]): void;
}

/** Grants to edit: the present ones with a button each, and fields for one more. */
export function GrantsField({ grants, devices, onChange }: Props) {
  const [role, setRole] = useState<string>("viewer");
  const [scope, setScope] = useState("");
  const add = (): void => {
    const grant = `${role}:${scope.trim()}`;
    if (!scope.trim() || grants.includes(grant)) return;
    onChange([...grants, grant]);
    setScope("");
  };
  return (
    <fieldset class="form-field">
      <legend class="form-legend">Roles</legend>
      {grants.length === 0 && <p class="form-help">None yet. Add at least one.</p>}
      <ul>
        {grants.map((grant) => (
          <li key={grant} class="form-check">
            <span class="tag">{grantText(grant)}</span>
            <button
              type="button"
              class="button small"
              aria-label={`Remove ${grantText(grant)}`}
              onClick={() => onChange(grants.filter((other) => other !== grant))}
            >
              Remove
            </button>
          </li>
        ))}
      </ul>
      <div class="form-row">
        <ChoiceField
          label="Role"
          value={role}
          choices={devices ? [...ROLES, DEVICE_ROLE] : ROLES}
          onChoice={setRole}
        />
        <ScopeField label="On" value={scope} installation required={false} onText={setScope} />
        <button type="button" class="button" onClick={add}>
          Add
        </button>
      </div>
      <p class="form-help">On: * (everything), a tenant, tenant/site or tenant/site/camera.</p>
    </fieldset>
  );
}
