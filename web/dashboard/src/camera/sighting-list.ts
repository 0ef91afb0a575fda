/** Sightings of a camera, hour by hour, newest first. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { getTimeline } from "../api/client";
import { serverNow } from "../clock";
import { type Sighting, toSightings } from "../detections/sightings";
import { liveCamera } from "../live-camera";

const HOUR_MS = 3_600_000;
const BUCKET_MS = 2000;
const REFRESH_MS = 5000;
const ENOUGH = 12;
const MOST_EMPTY_HOURS = 24;

export interface SightingList {
  readonly sightings: readonly Sighting[];
  readonly loading: boolean;
  readonly failed: boolean;
  /** Start of the earliest hour that is loaded. */
  readonly sinceMs: number;
  /** Whether the camera has older footage than is loaded. */
  readonly more: boolean;
  loadEarlier(): void;
  /** Loads the hours back to a moment, so that it is among the sightings. */
  reach(ms: number): void;
}

/** `endMs` is where the list begins: the newest footage when the page was opened. */
export function useSightings(
  cameraId: string,
  firstMs: number | null,
  endMs: number | null,
): SightingList {
  const hours = useRef(new Map<number, Sighting[]>());
  const [sightings, setSightings] = useState<readonly Sighting[]>([]);
  const [oldest, setOldest] = useState<number | null>(null);
  const [loading, setLoading] = useState(true);
  const [failed, setFailed] = useState(false);
  const newest = useRef(0);
  const floorHour = firstMs === null ? null : Math.floor(firstMs / HOUR_MS);
  const endHour = endMs === null ? null : Math.floor(endMs / HOUR_MS);

  const fetchHour = useCallback(
    async (hour: number, signal: AbortSignal) => {
      const from = hour * HOUR_MS;
      const answer = await getTimeline(cameraId, from, from + HOUR_MS, HOUR_MS / BUCKET_MS, signal);
      hours.current.set(hour, toSightings(answer.detections, answer.bucket_ms));
      newest.current = Math.max(newest.current, hour);
    },
    [cameraId],
  );

  const publish = useCallback(() => {
    const all = [...hours.current].sort(([a], [b]) => b - a).flatMap(([, list]) => list);
    setSightings(all);
  }, []);

  // The newest hour, and older ones until there are enough sightings.
  useEffect(() => {
    if (endHour === null || floorHour === null) {
      setLoading(false);
      return;
    }
    const controller = new AbortController();
    let timer = 0;
    let askedMs = 0;
    const refresh = async (): Promise<void> => {
      askedMs = serverNow();
      const current = Math.floor(serverNow() / HOUR_MS);
      const start = Math.max(newest.current, endHour);
      try {
        for (let hour = start; hour <= Math.min(current, start + 1); hour++) {
          await fetchHour(hour, controller.signal);
        }
        setFailed(false);
        publish();
      } catch {
        if (!controller.signal.aborted) setFailed(true);
      }
    };
    const fill = async (): Promise<void> => {
      await refresh();
      let hour = endHour;
      let found = hours.current.get(hour)?.length ?? 0;
      const stop = Math.max(floorHour, endHour - MOST_EMPTY_HOURS);
      while (found < ENOUGH && hour > stop && !controller.signal.aborted) {
        hour--;
        try {
          await fetchHour(hour, controller.signal);
        } catch {
          hour++;
          break;
        }
        found += hours.current.get(hour)?.length ?? 0;
      }
      if (controller.signal.aborted) return;
      publish();
      setOldest(hour);
      setLoading(false);
      const again = async (): Promise<void> => {
        if (!document.hidden && liveCamera.detectionsDue(askedMs, REFRESH_MS)) await refresh();
        if (!controller.signal.aborted) timer = window.setTimeout(again, REFRESH_MS);
      };
      timer = window.setTimeout(again, REFRESH_MS);
    };
    void fill();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [endHour, floorHour, fetchHour, publish]);

  const loadTo = async (hour: number): Promise<void> => {
    if (oldest === null || floorHour === null || loading) return;
    setLoading(true);
    const controller = new AbortController();
    let at = oldest;
    try {
      while (at > Math.max(floorHour, hour)) {
        await fetchHour(at - 1, controller.signal);
        at--;
      }
      setFailed(false);
    } catch {
      setFailed(true);
    }
    publish();
    setOldest(at);
    setLoading(false);
  };

  return {
    sightings,
    loading,
    failed,
    sinceMs: (oldest ?? endHour ?? 0) * HOUR_MS,
    more: oldest !== null && floorHour !== null && oldest > floorHour,
    loadEarlier: () => void loadTo((oldest ?? 0) - 1),
    reach: (ms) => void loadTo(Math.floor(ms / HOUR_MS)),
  };
}
