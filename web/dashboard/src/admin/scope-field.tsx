import { useId, useMemo } from "preact/hooks";
import { getCameras } from "../api/client";
import { usePolling } from "../poll";

const REFRESH_MS = 60_000;

interface Props {
  readonly label: string;
  readonly value: string;
  readonly help?: string;
  /** Whether `*`, the whole installation, may be chosen. */
  readonly installation?: boolean;
  readonly required?: boolean;
  onText(value: string): void;
}

/** A field for a tenant, a site or a camera. It suggests those that exist. */
export function ScopeField({ label, value, help, installation, required = true, onText }: Props) {
  const id = useId();
  const { value: answer } = usePolling(getCameras, REFRESH_MS, "cameras");
  const scopes = useMemo(() => {
    const found = new Set<string>(installation ? ["*"] : []);
    for (const { tenant, site, id: camera } of answer?.cameras ?? []) {
      found.add(tenant).add(`${tenant}/${site}`).add(camera);
    }
    return [...found].sort();
  }, [answer, installation]);
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="text"
        list={`${id}-list`}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        required={required}
        value={value}
        onInput={(event) => onText(event.currentTarget.value)}
      />
      <datalist id={`${id}-list`}>
        {scopes.map((scope) => (
          <option key={scope} value={scope} />
        ))}
      </datalist>
      {help && <p class="form-help">{help}</p>}
    </div>
  );
}

/** A scope in words. */
export function scopeText(scope: string): string {
  return scope === "*" ? "whole installation" : scope.replaceAll("/", " / ");
}
