import { localZone, UTC, type Zone } from "./format";
import { zoneChoice } from "./prefs";
import { useStore } from "./store";

/** The zone in which this person reads times. */
export function useZone(): Zone {
  return useStore(zoneChoice) === "utc" ? UTC : localZone();
}
