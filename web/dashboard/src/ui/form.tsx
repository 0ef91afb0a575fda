import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { ApiError } from "../api/client";

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly help?: string;
  readonly type?: "text" | "password" | "date" | "datetime-local" | "number" | "search";
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly maxLength?: number;
  readonly autocomplete?:
    | "off"
    | "username"
    | "current-password"
    | "new-password"
    | "one-time-code";
  onText(value: string): void;
}

/** A labelled text field. */
export function TextField({
  label,
  help,
  onText,
  type = "text",
  autocomplete = "off",
  ...input
}: FieldProps) {
  const id = useId();
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      <input
        spellcheck={false}
        autocapitalize="off"
        // Preact types each kind of input apart.
        type={type as "text"}
        autocomplete={autocomplete}
        {...input}
        id={id}
        aria-describedby={help ? `${id}-help` : undefined}
        onInput={(event) => onText(event.currentTarget.value)}
      />
      {help && (
        <p class="form-help" id={`${id}-help`}>
          {help}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly (readonly [value: string, text: string])[];
  onChoice(value: string): void;
}

/** A labelled list of choices. */
export function ChoiceField({ label, value, choices, onChoice }: ChoiceProps) {
  const id = useId();
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChoice(event.currentTarget.value)}>
        {choices.map(([choice, text]) => (
          <option key={choice} value={choice}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

interface FormProps {
  readonly children?: ComponentChildren;
  /** The text of the button that sends the form. */
  readonly action: string;
  /** The act deletes or ends something. */
  readonly dangerous?: boolean;
  readonly disabled?: boolean;
  /** Sends the form. An error that it throws is shown above the buttons. */
  onSend(): Promise<void>;
  onCancel?(): void;
}

/** A form with its buttons. It shows why the server refused it, and keeps what was entered. */
export function Form({
  children,
  action,
  dangerous,
  disabled = false,
  onSend,
  onCancel,
}: FormProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await onSend();
    } catch (failure) {
      setError(failureText(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="form" onSubmit={send} aria-busy={busy}>
      {children}
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <div class="form-actions">
        {onCancel && (
          <button type="button" class="button" onClick={onCancel}>
            Cancel
          </button>
        )}
        <button
          type="submit"
          class={dangerous ? "button danger" : "button primary"}
          disabled={busy || disabled}
        >
          {busy ? "Please wait…" : action}
        </button>
      </div>
    </form>
  );
}

export function failureText(failure: unknown): string {
  if (failure instanceof ApiError) return failure.message;
  return failure instanceof Error ? failure.message : "This failed. Try again.";
}
