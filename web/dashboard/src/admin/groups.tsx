import { useEffect, useState } from "preact/hooks";
import { getVersioned, send } from "../api/client";
import type { Group, Groups, User, Users } from "../api/types";
import { session } from "../session";
import { useStore } from "../store";
import { Dialog } from "../ui/dialog";
import { Form, failureText, TextField } from "../ui/form";
import { Grants, GrantsField } from "./grants";
import { ListView } from "./list-view";
import { ScopeField } from "./scope-field";
import { useList } from "./use-list";
import { managedScope } from "./users";

const PATH = "/api/v1/groups";
const rowsOf = ({ groups }: Groups) => groups;
const usersOf = ({ users }: Users) => users;

type Act = { name: "create" } | { name: "change" | "delete"; group: Group };

/** Groups: users with the same roles. */
export function AdminGroups() {
  const list = useList(PATH, rowsOf);
  const users = useList("/api/v1/users?limit=1000", usersOf).rows ?? [];
  const [act, setAct] = useState<Act | null>(null);
  const close = (): void => setAct(null);
  const done = (): void => {
    close();
    list.reload();
  };
  return (
    <>
      <ListView
        title="Groups"
        lead="All members of a group have its roles."
        list={list}
        empty="There is no group that you may manage."
        keyOf={({ id }) => id}
        actions={
          <button type="button" class="button primary" onClick={() => setAct({ name: "create" })}>
            Create a group
          </button>
        }
        columns={[
          { title: "Name", cell: ({ name }) => name },
          { title: "Roles", cell: ({ grants }) => <Grants grants={grants} /> },
          { title: "Members", cell: ({ members }) => membersText(members, users) },
          {
            title: "Change",
            actions: true,
            cell: (group) => (
              <>
                <button
                  type="button"
                  class="button small"
                  onClick={() => setAct({ name: "change", group })}
                >
                  Change
                </button>
                <button
                  type="button"
                  class="button small"
                  onClick={() => setAct({ name: "delete", group })}
                >
                  Delete
                </button>
              </>
            ),
          },
        ]}
      />
      {(act?.name === "create" || act?.name === "change") && (
        <GroupDialog
          id={act.name === "change" ? act.group.id : null}
          users={users}
          onDone={done}
          onClose={close}
        />
      )}
      {act?.name === "delete" && (
        <Dialog title={`Delete the group ${act.group.name}`} onClose={close}>
          <p>Its members lose the roles that they have by this group only.</p>
          <Form
            action="Delete group"
            dangerous
            onSend={async () => {
              const path = `${PATH}/${act.group.id}`;
              const { etag } = await getVersioned<Group>(path);
              await send(path, { method: "DELETE", etag });
              done();
            }}
            onCancel={close}
          />
        </Dialog>
      )}
    </>
  );
}

function membersText(members: readonly string[], users: readonly User[]): string {
  if (members.length === 0) return "none";
  const names = members.map((id) => users.find((user) => user.id === id)?.display_name ?? id);
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

interface GroupProps {
  /** null: a new group. */
  readonly id: string | null;
  readonly users: readonly User[];
  onDone(): void;
  onClose(): void;
}

function GroupDialog({ id, users, onDone, onClose }: GroupProps) {
  const who = useStore(session);
  const [etag, setEtag] = useState<string | null>(null);
  const [name, setName] = useState("");
  const [scope, setScope] = useState(managedScope(who));
  const [grants, setGrants] = useState<string[]>([]);
  const [members, setMembers] = useState<string[]>([]);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    if (id === null) return;
    getVersioned<Group>(`${PATH}/${id}`)
      .then(({ value, etag: version }) => {
        setName(value.name);
        setGrants(value.grants);
        setMembers(value.members);
        setEtag(version);
      })
      .catch((failure: unknown) => setError(failureText(failure)));
  }, [id]);
  const save = async (): Promise<void> => {
    const body = { name: name.trim(), grants, members };
    if (id === null) await send(PATH, { method: "POST", body: { ...body, scope: scope.trim() } });
    else await send(`${PATH}/${id}`, { method: "PATCH", body, etag });
    onDone();
  };
  const toggle = (user: string, isMember: boolean): void =>
    setMembers(isMember ? [...members, user] : members.filter((other) => other !== user));
  return (
    <Dialog title={id === null ? "Create a group" : "Change the group"} onClose={onClose}>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <Form
        action={id === null ? "Create group" : "Save"}
        disabled={id !== null && etag === null}
        onSend={save}
        onCancel={onClose}
      >
        <TextField label="Name" value={name} required maxLength={100} onText={setName} />
        {id === null && (
          <ScopeField
            label="Managed by administrators of"
            value={scope}
            installation
            onText={setScope}
          />
        )}
        <GrantsField grants={grants} onChange={setGrants} />
        <fieldset class="form-field">
          <legend class="form-legend">Members</legend>
          <div class="form-list">
            {users.map((user) => (
              <label key={user.id} class="form-check">
                <input
                  type="checkbox"
                  checked={members.includes(user.id)}
                  onChange={(event) => toggle(user.id, event.currentTarget.checked)}
                />
                {user.display_name} <span class="soft">{user.login}</span>
              </label>
            ))}
          </div>
        </fieldset>
      </Form>
    </Dialog>
  );
}
