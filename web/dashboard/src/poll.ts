import { useEffect, useState } from "preact/hooks";

export interface Polled<T> {
  readonly value: T | null;
  /** The newest request's error. `value` is then the last known one. */
  readonly error: Error | null;
}

/**
 * Polls while the page is visible and `wanted` is true. Keeps the last value when a request
 * fails.
 */
export function usePolling<T>(
  request: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  key: string,
  wanted = true,
): Polled<T> & { retry: () => void } {
  const [polled, setPolled] = useState<Polled<T>>({ value: null, error: null });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!wanted) return;
    const controller = new AbortController();
    let timer = 0;
    const again = async (): Promise<void> => {
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          const value = await request(controller.signal);
          if (!controller.signal.aborted) setPolled({ value, error: null });
        } catch (error) {
          if (controller.signal.aborted) return;
          const failure = error instanceof Error ? error : new Error(String(error));
          setPolled((last) => ({ value: last.value, error: failure }));
        }
      }
      if (!controller.signal.aborted) timer = window.setTimeout(again, everyMs);
    };
    const seen = (): void => {
      if (!document.hidden) void again();
    };
    document.addEventListener("visibilitychange", seen, { signal: controller.signal });
    void again();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [everyMs, key, wanted, attempt]);
  return { ...polled, retry: () => setAttempt((count) => count + 1) };
}
