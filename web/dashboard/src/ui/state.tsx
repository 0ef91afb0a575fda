import type { Camera } from "../api/types";
import { clockTime, hourMinute, roughSpan, shortDate, type Zone, zoneLabel } from "../format";
import { STATE_TEXT } from "./text";

interface Props {
  readonly camera: Camera;
  readonly nowMs: number;
  readonly zone: Zone;
}

/** The camera's state as colour and text; with a problem, also since when. */
export function StateBadge({ camera, nowMs, zone }: Props) {
  const { state, since_ms } = camera;
  const hasProblem = state === "offline" || state === "late";
  return (
    <span class={`state ${state}`} data-state={state}>
      <i class="dot" aria-hidden="true" />
      {STATE_TEXT[state]}
      {hasProblem && since_ms !== null && (
        <span class="since"> since {momentText(since_ms, nowMs, zone)}</span>
      )}
    </span>
  );
}

/** 14:03 CET, or Fri 20 Nov 14:03 CET when that is not today. */
export function momentText(ms: number, nowMs: number, zone: Zone): string {
  const time = `${hourMinute(ms, zone)} ${zoneLabel(ms, zone)}`;
  const day = shortDate(ms, zone);
  return day === shortDate(nowMs, zone) ? time : `${day} ${time}`;
}

/** 4 s ago, with the exact time as a tooltip. */
export function Age({ ms, nowMs, zone }: { ms: number; nowMs: number; zone: Zone }) {
  const exact = `${shortDate(ms, zone)} ${clockTime(ms, zone)} ${zoneLabel(ms, zone)}`;
  return (
    <time class="age" dateTime={new Date(ms).toISOString()} title={exact}>
      {roughSpan(nowMs - ms)} ago
    </time>
  );
}
