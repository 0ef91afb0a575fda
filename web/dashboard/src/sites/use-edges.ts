import { useEffect, useState } from "preact/hooks";
import { getEdges } from "../api/client";
import type { Edge } from "../api/types";

const REFRESH_MS = 5000;

/** What the edge devices say, asked only while it is `wanted`; empty until they have answered. */
export function useEdges(wanted: boolean): readonly Edge[] {
  const [edges, setEdges] = useState<readonly Edge[]>([]);
  useEffect(() => {
    if (!wanted) return;
    const leave = new AbortController();
    let timer = 0;
    const again = async (): Promise<void> => {
      try {
        if (!document.hidden) setEdges((await getEdges(leave.signal)).edges);
      } catch {
        // The reasons are an extra: the page says by itself when the server does not answer.
      }
      if (!leave.signal.aborted) timer = window.setTimeout(again, REFRESH_MS);
    };
    void again();
    return () => {
      leave.abort();
      clearTimeout(timer);
    };
  }, [wanted]);
  return edges;
}
