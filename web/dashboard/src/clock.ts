/** The server's clock: the API compares footage with it. */
import { useEffect, useState } from "preact/hooks";

let offsetMs = 0;

/** Computes from a response's `now_ms` how wrong this browser's clock is. */
function learnServerTime(nowMs: number): void {
  offsetMs = nowMs - Date.now();
}

/** Wraps `request`: each response updates the server's time. */
export function withServerTime<T extends { readonly now_ms: number }>(
  request: (signal: AbortSignal) => Promise<T>,
): (signal: AbortSignal) => Promise<T> {
  return async (signal) => {
    const answer = await request(signal);
    learnServerTime(answer.now_ms);
    return answer;
  };
}

export function serverNow(): number {
  return Date.now() + offsetMs;
}

/** The server's time, updated every `everyMs`. */
export function useServerNow(everyMs = 1000): number {
  const [now, setNow] = useState(serverNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
