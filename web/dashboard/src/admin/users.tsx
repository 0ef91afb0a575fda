import { useEffect, useState } from "preact/hooks";
import { getVersioned, send } from "../api/client";
import type { CreatedUser, NewPassword, SessionInfo, User, Users } from "../api/types";
import { session } from "../session";
import { useStore } from "../store";
import { Dialog } from "../ui/dialog";
import { Form, failureText, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { SecretDialog } from "../ui/secret";
import { Grants, GrantsField } from "./grants";
import { ListView } from "./list-view";
import { ScopeField } from "./scope-field";
import { SecondFactorDialog } from "./second-factor";
import { SessionsTable } from "./sessions-table";
import { useList } from "./use-list";

const PATH = "/api/v1/users";
const rowsOf = ({ users }: Users) => users;

type Act =
  | { name: "create" | "factor" }
  | { name: "change" | "sessions" | "reset" | "totp"; user: User }
  | { name: "password"; title: string; password: string };

/** Users: create, change roles, disable, reset what was lost. */
export function AdminUsers() {
  const list = useList(PATH, rowsOf);
  const [act, setAct] = useState<Act | null>(null);
  const close = (): void => setAct(null);
  const done = (): void => {
    close();
    list.reload();
  };
  const showPassword = (title: string, password: string): void => {
    setAct({ name: "password", title, password });
    list.reload();
  };
  return (
    <>
      <ListView
        title="Users"
        lead="People who sign in. No one gives a role that he does not have himself."
        list={list}
        empty="There is no user that you may manage. Create the first one here."
        keyOf={({ id }) => id}
        actions={
          <>
            <button type="button" class="button" onClick={() => setAct({ name: "factor" })}>
              Second factor…
            </button>
            <button type="button" class="button primary" onClick={() => setAct({ name: "create" })}>
              Create a user
            </button>
          </>
        }
        columns={[
          {
            title: "Name",
            cell: ({ display_name, login, iss }) => (
              <>
                {display_name} <span class="soft">{login ?? iss}</span>
              </>
            ),
          },
          {
            title: "Roles",
            cell: ({ grants, group_grants }) => <Grants grants={[...grants, ...group_grants]} />,
          },
          { title: "Sign-in", cell: (user) => signInText(user) },
          {
            title: "State",
            cell: ({ disabled_ms }) =>
              disabled_ms === null ? (
                "enabled"
              ) : (
                <span class="warn">
                  disabled since <Moment ms={disabled_ms} />
                </span>
              ),
          },
          {
            title: "Change",
            actions: true,
            cell: (user) => (
              <>
                <button
                  type="button"
                  class="button small"
                  onClick={() => setAct({ name: "change", user })}
                >
                  Change
                </button>
                <button
                  type="button"
                  class="button small"
                  onClick={() => setAct({ name: "sessions", user })}
                >
                  Sessions
                </button>
                {user.has_password && (
                  <button
                    type="button"
                    class="button small"
                    onClick={() => setAct({ name: "reset", user })}
                  >
                    Reset password
                  </button>
                )}
                {user.has_totp && (
                  <button
                    type="button"
                    class="button small"
                    onClick={() => setAct({ name: "totp", user })}
                  >
                    Remove second factor
                  </button>
                )}
              </>
            ),
          },
        ]}
      />
      {act?.name === "factor" && <SecondFactorDialog onClose={close} />}
      {act?.name === "create" && (
        <CreateUser
          onCreated={(user) => showPassword(`Password of ${user.display_name}`, user.password)}
          onClose={close}
        />
      )}
      {act?.name === "change" && <ChangeUser id={act.user.id} onDone={done} onClose={close} />}
      {act?.name === "sessions" && (
        <Dialog title={act.user.display_name} wide onClose={close}>
          <SessionsTable title="Open sessions" user={act.user.id} />
          <div class="form-actions">
            <button type="button" class="button" onClick={close}>
              Close
            </button>
          </div>
        </Dialog>
      )}
      {act?.name === "reset" && (
        <Dialog title={`Reset the password of ${act.user.display_name}`} onClose={close}>
          <p>A new password is made and shown once. All sessions of this user end.</p>
          <Form
            action="Reset password"
            dangerous
            onSend={async () => {
              const path = `${PATH}/${act.user.id}/password`;
              const { password } = await send<NewPassword>(path, { method: "POST" });
              showPassword(`Password of ${act.user.display_name}`, password);
            }}
            onCancel={close}
          />
        </Dialog>
      )}
      {act?.name === "totp" && (
        <Dialog title={`Remove the second factor of ${act.user.display_name}`} onClose={close}>
          <p>For a lost phone. The user signs in by password alone until he adds a new one.</p>
          <Form
            action="Remove"
            dangerous
            onSend={async () => {
              await send(`${PATH}/${act.user.id}/totp`, { method: "DELETE" });
              done();
            }}
            onCancel={close}
          />
        </Dialog>
      )}
      {act?.name === "password" && (
        <SecretDialog
          title={act.title}
          text={act.password}
          advice="Give it to the user in person. It is shown only once, and the user changes it."
          onClose={close}
        />
      )}
    </>
  );
}

function signInText({ has_password, has_totp, source }: User): string {
  if (source === "oidc") return "OpenID provider";
  if (!has_password) return "no password";
  return has_totp ? "password and code" : "password";
}

/** The widest scope on which the person manages users. */
export function managedScope(who: SessionInfo | null): string {
  const scopes = (who?.may ?? [])
    .filter(({ permissions }) => permissions.includes("users:manage"))
    .map(({ scope }) => scope)
    .sort((a, b) => a.length - b.length);
  return scopes[0] ?? "*";
}

interface CreateProps {
  onCreated(user: CreatedUser): void;
  onClose(): void;
}

function CreateUser({ onCreated, onClose }: CreateProps) {
  const who = useStore(session);
  const [login, setLogin] = useState("");
  const [name, setName] = useState("");
  const [scope, setScope] = useState(managedScope(who));
  const [grants, setGrants] = useState<string[]>([]);
  const create = async (): Promise<void> => {
    const body = { login: login.trim(), display_name: name.trim(), scope: scope.trim(), grants };
    onCreated(await send<CreatedUser>(PATH, { method: "POST", body }));
  };
  return (
    <Dialog title="Create a user" onClose={onClose}>
      <Form action="Create user" onSend={create} onCancel={onClose}>
        <TextField label="Name" value={name} required maxLength={100} onText={setName} />
        <TextField
          label="Login"
          value={login}
          required
          maxLength={100}
          help="Such as the person's mail address. It cannot be changed later."
          onText={setLogin}
        />
        <ScopeField
          label="Managed by administrators of"
          value={scope}
          installation
          help="* (the whole installation), a tenant, a site or a camera."
          onText={setScope}
        />
        <GrantsField grants={grants} onChange={setGrants} />
      </Form>
    </Dialog>
  );
}

interface ChangeProps {
  readonly id: string;
  onDone(): void;
  onClose(): void;
}

/** Loads the user first: its version shows whether somebody else changes it too. */
function ChangeUser({ id, onDone, onClose }: ChangeProps) {
  const path = `${PATH}/${id}`;
  const [etag, setEtag] = useState<string | null>(null);
  const [user, setUser] = useState<User | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    getVersioned<User>(path)
      .then(({ value, etag: version }) => {
        setUser(value);
        setEtag(version);
      })
      .catch((failure: unknown) => setError(failureText(failure)));
  }, [path]);
  const change = async (): Promise<void> => {
    if (user === null) return;
    const { display_name, disabled_ms, grants } = user;
    const body = { display_name: display_name.trim(), disabled: disabled_ms !== null, grants };
    await send(path, { method: "PATCH", body, etag });
    onDone();
  };
  return (
    <Dialog title={user ? `Change ${user.login ?? user.display_name}` : "Change"} onClose={onClose}>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <Form action="Save" disabled={user === null} onSend={change} onCancel={onClose}>
        {user && (
          <>
            <TextField
              label="Name"
              value={user.display_name}
              required
              maxLength={100}
              onText={(display_name) => setUser({ ...user, display_name })}
            />
            <label class="form-check">
              <input
                type="checkbox"
                checked={user.disabled_ms !== null}
                onChange={(event) =>
                  setUser({ ...user, disabled_ms: event.currentTarget.checked ? 0 : null })
                }
              />
              Disabled: cannot sign in, and all sessions end
            </label>
            {user.source === "oidc" ? (
              <p class="form-help">The OpenID provider's groups give the roles.</p>
            ) : (
              <GrantsField
                grants={user.grants}
                onChange={(grants) => setUser({ ...user, grants })}
              />
            )}
            {user.group_grants.length > 0 && (
              <p class="form-help">
                By groups also: <Grants grants={user.group_grants} />
              </p>
            )}
          </>
        )}
      </Form>
    </Dialog>
  );
}
