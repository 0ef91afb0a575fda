import { useEffect, useState } from "preact/hooks";
import { getSession, send } from "../api/client";
import { session } from "../session";
import { useStore } from "../store";
import { Dialog } from "../ui/dialog";
import { Form, TextField } from "../ui/form";
import { CodeField, EnrolTotp } from "./enrol-totp";
import { Grants } from "./grants";
import { SessionsTable } from "./sessions-table";

const SESSION = "/api/v1/session";

type Act = "password" | "enrol" | "remove" | null;

/** The person's own account: roles, password, second factor, sessions. */
export function Account() {
  const who = useStore(session);
  const [act, setAct] = useState<Act>(null);
  useEffect(() => {
    document.title = "Your account · Vigil";
  }, []);
  if (who === null) return <main class="centre" aria-busy="true" />;
  const done = (): void => {
    setAct(null);
    void getSession().then((now) => now && session.set(now));
  };
  const close = (): void => setAct(null);
  return (
    <main class="account-page">
      <div class="admin-head">
        <h1>{who.name}</h1>
        {who.login !== null && <span class="soft">{who.login}</span>}
      </div>
      <section class="notice">
        <h2>Roles</h2>
        <Grants grants={who.grants} />
        <p class="form-help">An administrator of your organisation gives and takes roles.</p>
      </section>
      {who.has_password && (
        <section class="notice">
          <h2>Sign-in</h2>
          <div class="form-row">
            <button type="button" class="button" onClick={() => setAct("password")}>
              Change password
            </button>
            {who.has_totp ? (
              <button type="button" class="button" onClick={() => setAct("remove")}>
                Remove the second factor
              </button>
            ) : (
              <button type="button" class="button" onClick={() => setAct("enrol")}>
                Add a second factor
              </button>
            )}
          </div>
          <p class="form-help">
            {who.has_totp
              ? `A sign-in needs a code of your authenticator app. Recovery codes left: ${who.recovery_codes ?? 0}.`
              : "With a second factor, a stolen password alone opens nothing."}
          </p>
        </section>
      )}
      <SessionsTable title="Your sessions" user={null} />
      {act === "password" && (
        <ChangePassword asksCode={who.has_totp} onDone={done} onClose={close} />
      )}
      {act === "enrol" && <EnrolTotp onDone={done} onClose={close} />}
      {act === "remove" && <RemoveTotp onDone={done} onClose={close} />}
    </main>
  );
}

interface ActProps {
  onDone(): void;
  onClose(): void;
}

function ChangePassword({ asksCode, onDone, onClose }: ActProps & { asksCode: boolean }) {
  const [password, setPassword] = useState("");
  const [wanted, setWanted] = useState("");
  const [again, setAgain] = useState("");
  const [code, setCode] = useState("");
  const change = async (): Promise<void> => {
    if (wanted !== again) throw new Error("The two new passwords differ. Type them again.");
    const body = { password, new_password: wanted, totp: asksCode ? code : null };
    await send(`${SESSION}/password`, { method: "POST", body });
    onDone();
  };
  return (
    <Dialog title="Change your password" onClose={onClose}>
      <Form action="Change password" onSend={change} onCancel={onClose}>
        <TextField
          label="Present password"
          type="password"
          autocomplete="current-password"
          value={password}
          required
          onText={setPassword}
        />
        <TextField
          label="New password"
          type="password"
          autocomplete="new-password"
          value={wanted}
          required
          help="12 to 128 characters. Several words are easier to remember."
          onText={setWanted}
        />
        <TextField
          label="New password again"
          type="password"
          autocomplete="new-password"
          value={again}
          required
          onText={setAgain}
        />
        {asksCode && <CodeField code={code} onCode={setCode} />}
        <p class="form-help">Your other sessions end.</p>
      </Form>
    </Dialog>
  );
}

function RemoveTotp({ onDone, onClose }: ActProps) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const remove = async (): Promise<void> => {
    const body = { password, totp: code.trim() };
    await send(`${SESSION}/totp/remove`, { method: "POST", body });
    onDone();
  };
  return (
    <Dialog title="Remove the second factor" onClose={onClose}>
      <p>A sign-in then needs the password alone. The recovery codes are deleted.</p>
      <Form action="Remove" dangerous onSend={remove} onCancel={onClose}>
        <TextField
          label="Password"
          type="password"
          autocomplete="current-password"
          value={password}
          required
          onText={setPassword}
        />
        <CodeField code={code} onCode={setCode} />
      </Form>
    </Dialog>
  );
}
