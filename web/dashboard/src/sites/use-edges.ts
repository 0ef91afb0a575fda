import { getEdges } from "../api/client";
import type { Edge } from "../api/types";
import { usePolled } from "../poll";

const REFRESH_MS = 5000;
const NONE: readonly Edge[] = [];

/**
 * What the edge devices say, asked only while it is `wanted`; empty until they have answered. The
 * reasons are an extra: the page says by itself when the server does not answer.
 */
export function useEdges(wanted: boolean): readonly Edge[] {
  return usePolled(getEdges, REFRESH_MS, "edges", wanted).value?.edges ?? NONE;
}
