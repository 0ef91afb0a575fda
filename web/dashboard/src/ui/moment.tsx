import { serverNow } from "../clock";
import { clockTime, shortDate, zoneLabel } from "../format";
import { useZone } from "../zone";
import { momentText } from "./state";

/** A time in the person's zone, to the minute; with its seconds as a tooltip. */
export function Moment({ ms, none = "–" }: { ms: number | null; none?: string }) {
  const zone = useZone();
  if (ms === null) return <span class="soft">{none}</span>;
  const exact = `${shortDate(ms, zone)} ${clockTime(ms, zone)} ${zoneLabel(ms, zone)}`;
  return (
    <time dateTime={new Date(ms).toISOString()} title={exact}>
      {momentText(ms, serverNow(), zone)}
    </time>
  );
}
