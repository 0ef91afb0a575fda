/** The server's clock: the one that footage is stamped by. */
import { useEffect, useState } from "preact/hooks";

let offsetMs = 0;

/** Learns from an answer's `now_ms` how far this browser's clock is off. */
function learnServerTime(nowMs: number): void {
  offsetMs = nowMs - Date.now();
}

/** Returns `ask`, learning the server's time from each of its answers. */
export function dated<T extends { readonly now_ms: number }>(
  ask: (signal: AbortSignal) => Promise<T>,
): (signal: AbortSignal) => Promise<T> {
  return async (signal) => {
    const answer = await ask(signal);
    learnServerTime(answer.now_ms);
    return answer;
  };
}

export function serverNow(): number {
  return Date.now() + offsetMs;
}

/** The server's time, drawn again every `everyMs`. */
export function useServerNow(everyMs = 1000): number {
  const [now, setNow] = useState(serverNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
