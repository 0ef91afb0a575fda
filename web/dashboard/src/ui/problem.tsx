import type { ComponentChildren } from "preact";
import { clockTime, type Zone, zoneLabel } from "../format";

interface Props {
  readonly title: string;
  readonly detail: string;
  readonly action?: string;
  readonly onAction?: () => void;
  readonly children?: ComponentChildren;
}

/** What happened, and what to do about it. */
export function Problem({ title, detail, action, onAction, children }: Props) {
  return (
    <div class="problem" role="status">
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

/** Says that the page shows old data, and why. */
export function Outdated({ error, knownMs, zone }: { error: Error; knownMs: number; zone: Zone }) {
  return (
    <p class="banner" role="alert">
      <b>Not up to date.</b> {error.message} This data is from {clockTime(knownMs, zone)}{" "}
      {zoneLabel(knownMs, zone)}.
    </p>
  );
}
