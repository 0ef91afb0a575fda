import { useCallback, useEffect, useState } from "preact/hooks";
import { getVersioned } from "../api/client";

interface Page {
  readonly next: string | null;
}

export interface List<T> {
  /** null: not loaded yet. */
  readonly rows: readonly T[] | null;
  readonly error: Error | null;
  readonly hasMore: boolean;
  /** Loads the next page. */
  more(): void;
  /** Loads the first page again, such as after a change. */
  reload(): void;
}

/** A list of the API, page by page. `rowsOf` must not change from render to render. */
export function useList<A extends Page, T>(
  path: string,
  rowsOf: (answer: A) => readonly T[],
): List<T> {
  const [rows, setRows] = useState<readonly T[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const controller = new AbortController();
    getVersioned<A>(path, controller.signal)
      .then(({ value }) => {
        setRows(rowsOf(value));
        setNext(value.next);
        setError(null);
      })
      .catch((failure: unknown) => {
        if (!controller.signal.aborted) setError(asError(failure));
      });
    return () => controller.abort();
  }, [path, rowsOf, attempt]);

  const more = useCallback(() => {
    if (next === null) return;
    const cursor = `cursor=${encodeURIComponent(next)}`;
    getVersioned<A>(`${path}${path.includes("?") ? "&" : "?"}${cursor}`)
      .then(({ value }) => {
        setRows((known) => [...(known ?? []), ...rowsOf(value)]);
        setNext(value.next);
        setError(null);
      })
      .catch((failure: unknown) => setError(asError(failure)));
  }, [path, rowsOf, next]);

  const reload = useCallback(() => setAttempt((count) => count + 1), []);
  return { rows, error, hasMore: next !== null, more, reload };
}

function asError(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(String(failure));
}
