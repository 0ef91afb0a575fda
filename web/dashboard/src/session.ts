import type { SessionInfo } from "./api/types";
import { createStore } from "./store";

/** Who is signed in; null until the server has answered. */
export const session = createStore<SessionInfo | null>(null);

/** Whether the person has a permission anywhere. Before the answer: no. */
export function may(who: SessionInfo | null, permission: string): boolean {
  return who?.may.some(({ permissions }) => permissions.includes(permission)) ?? false;
}
