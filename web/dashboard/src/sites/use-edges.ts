import { getEdges } from "../api/client";
import type { Edges } from "../api/types";
import { usePolling } from "../poll";

const REFRESH_MS = 5000;

/**
 * The newest reports of the edge devices, polled only while `wanted` is true; null until the first
 * response. Errors are not shown: the page itself reports when the server does not answer.
 */
export function useEdges(wanted: boolean): Edges | null {
  return usePolling(getEdges, REFRESH_MS, "edges", wanted).value;
}
