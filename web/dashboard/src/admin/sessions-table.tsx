import { useCallback, useEffect, useState } from "preact/hooks";
import { getVersioned, send } from "../api/client";
import type { Session, SessionList } from "../api/types";
import { failureText } from "../ui/form";
import { Moment } from "../ui/moment";
import { Table, TableSkeleton } from "../ui/table";
import { browserName } from "./browser-name";

const PATH = "/api/v1/sessions";

interface Props {
  readonly title: string;
  /** Id of another user; null: the person's own sessions. */
  readonly user: string | null;
}

/** Open sessions of one person, each with a button that ends it. */
export function SessionsTable({ title, user }: Props) {
  const path = user === null ? PATH : `${PATH}?user=${encodeURIComponent(user)}`;
  const [sessions, setSessions] = useState<readonly Session[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const load = useCallback(() => {
    getVersioned<SessionList>(path)
      .then(({ value }) => setSessions(value.sessions))
      .catch((failure: unknown) => setError(failureText(failure)));
  }, [path]);
  useEffect(load, [load]);
  const end = (which: string): void => {
    setError(null);
    send(which, { method: "DELETE" })
      .then(load)
      .catch((failure: unknown) => setError(failureText(failure)));
  };
  const others = sessions?.filter(({ current }) => !current).length ?? 0;
  return (
    <section>
      <div class="admin-head">
        <h2 class="fills">{title}</h2>
        {others > 0 && (
          <button type="button" class="button" onClick={() => end(path)}>
            {user === null ? "End all others" : "End all"}
          </button>
        )}
      </div>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      {sessions === null && !error && <TableSkeleton label="Loading sessions" />}
      {sessions?.length === 0 && <p class="notice">No open session.</p>}
      {sessions !== null && sessions.length > 0 && (
        <Table
          caption={title}
          rows={sessions}
          keyOf={({ id }) => id}
          columns={[
            {
              title: "Browser",
              cell: ({ agent, current }) => (
                <span title={agent}>
                  {browserName(agent)} {current && <span class="tag">this one</span>}
                </span>
              ),
            },
            { title: "Address", cell: ({ address }) => address },
            { title: "Signed in", cell: ({ created_ms }) => <Moment ms={created_ms} /> },
            { title: "Last used", cell: ({ seen_ms }) => <Moment ms={seen_ms} /> },
            { title: "Ends", cell: ({ until_ms }) => <Moment ms={until_ms} /> },
            {
              title: "End",
              actions: true,
              cell: ({ id, current }) =>
                !current && (
                  <button
                    type="button"
                    class="button small"
                    onClick={() => end(`${PATH}/${encodeURIComponent(id)}`)}
                  >
                    End
                  </button>
                ),
            },
          ]}
        />
      )}
    </section>
  );
}
