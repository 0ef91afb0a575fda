import { useEffect, useState } from "preact/hooks";

export interface Polled<T> {
  readonly value: T | null;
  /** The newest request's failure; the value then is the last that was known. */
  readonly error: Error | null;
}

/**
 * Asks again and again while the page is visible, and only while it is `wanted`; keeps the last
 * answer through failures.
 */
export function usePolled<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  key: string,
  wanted = true,
): Polled<T> & { retry: () => void } {
  const [polled, setPolled] = useState<Polled<T>>({ value: null, error: null });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!wanted) return;
    const leave = new AbortController();
    let timer = 0;
    const again = async (): Promise<void> => {
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          const value = await ask(leave.signal);
          if (!leave.signal.aborted) setPolled({ value, error: null });
        } catch (error) {
          if (leave.signal.aborted) return;
          const failure = error instanceof Error ? error : new Error(String(error));
          setPolled((last) => ({ value: last.value, error: failure }));
        }
      }
      if (!leave.signal.aborted) timer = window.setTimeout(again, everyMs);
    };
    const seen = (): void => {
      if (!document.hidden) void again();
    };
    document.addEventListener("visibilitychange", seen, { signal: leave.signal });
    void again();
    return () => {
      leave.abort();
      clearTimeout(timer);
    };
  }, [everyMs, key, wanted, attempt]);
  return { ...polled, retry: () => setAttempt((count) => count + 1) };
}
