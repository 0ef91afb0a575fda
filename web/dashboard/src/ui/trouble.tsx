import type { ComponentChildren } from "preact";

interface Props {
  readonly title: string;
  readonly detail: string;
  readonly action?: string;
  readonly onAction?: () => void;
  readonly children?: ComponentChildren;
}

/** What happened, and what to do about it. */
export function Trouble({ title, detail, action, onAction, children }: Props) {
  return (
    <div class="trouble" role="status">
      <h2>{title}</h2>
      <p>{detail}</p>
      {action && (
        <button type="button" class="button" onClick={onAction}>
          {action}
        </button>
      )}
      {children}
    </div>
  );
}
