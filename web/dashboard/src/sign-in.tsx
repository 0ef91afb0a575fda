import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, getProviders, signIn } from "./api/client";
import type { SignInProvider } from "./api/types";
import { Mark } from "./ui/icons";

type Way = "user" | "key";

/** Sign-in by login and password, by an OpenID provider, or by an API key. */
export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [way, setWay] = useState<Way>("user");
  const [providers, setProviders] = useState<readonly SignInProvider[]>([]);

  useEffect(() => {
    document.title = "Sign in · Vigil";
    void getProviders().then(setProviders);
  }, []);

  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <p class="brand brand-large">
          <Mark size={32} /> Vigil
        </p>
        <h1>Sign in</h1>
        {providers.map(({ id, name, path }) => (
          <a
            key={id}
            class="button sign-in-provider"
            href={`${path}?next=${encodeURIComponent(location.pathname)}`}
          >
            {name}
          </a>
        ))}
        {way === "user" ? (
          <UserForm onSignedIn={onSignedIn} />
        ) : (
          <KeyForm onSignedIn={onSignedIn} />
        )}
        <button
          type="button"
          class="quiet sign-in-way"
          onClick={() => setWay(way === "user" ? "key" : "user")}
        >
          {way === "user" ? "Use an API key" : "Use login and password"}
        </button>
      </div>
    </main>
  );
}

function UserForm({ onSignedIn }: { onSignedIn: () => void }) {
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asksCode, setAsksCode] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const first = useRef<HTMLInputElement>(null);
  const codeField = useRef<HTMLInputElement>(null);

  useEffect(() => first.current?.focus(), []);
  useEffect(() => {
    if (asksCode) codeField.current?.focus();
  }, [asksCode]);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!login.trim() || !password) {
      setError("Enter your login and your password.");
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await signIn({ login: login.trim(), password, totp: asksCode ? code.trim() : null });
      onSignedIn();
    } catch (failure) {
      setBusy(false);
      const needsCode = failure instanceof ApiError && failure.kind === "code-required";
      if (needsCode && !asksCode) setAsksCode(true);
      else setError(errorText(failure));
    }
  };

  return (
    <form class="sign-in-form" onSubmit={submit} aria-busy={busy}>
      <label for="login">Login</label>
      <div class="field">
        <input
          id="login"
          ref={first}
          type="text"
          autocomplete="username"
          spellcheck={false}
          autocapitalize="off"
          value={login}
          onInput={(event) => setLogin(event.currentTarget.value)}
        />
      </div>
      <label for="password">Password</label>
      <SecretField id="password" value={password} invalid={error !== null} onText={setPassword} />
      {asksCode && (
        <>
          <label for="code">Code of your authenticator app, or a recovery code</label>
          <div class="field">
            <input
              id="code"
              ref={codeField}
              type="text"
              autocomplete="one-time-code"
              spellcheck={false}
              value={code}
              onInput={(event) => setCode(event.currentTarget.value)}
            />
          </div>
        </>
      )}
      <Message error={error} help="No login yet? An administrator creates it." />
      <Submit busy={busy} />
    </form>
  );
}

function KeyForm({ onSignedIn }: { onSignedIn: () => void }) {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const given = key.trim();
    if (!given) {
      setError("Enter your API key.");
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await signIn({ key: given });
      onSignedIn();
    } catch (failure) {
      setBusy(false);
      setError(keyErrorText(failure));
    }
  };

  return (
    <form class="sign-in-form" onSubmit={submit} aria-busy={busy}>
      <label for="key">API key</label>
      <SecretField id="key" value={key} invalid={error !== null} focused onText={setKey} />
      <Message error={error} help="Keys are for programs. Administrators create them." />
      <Submit busy={busy} />
    </form>
  );
}

interface SecretProps {
  readonly id: string;
  readonly value: string;
  readonly invalid: boolean;
  readonly focused?: boolean;
  onText(value: string): void;
}

/** A field whose text can be shown. */
function SecretField({ id, value, invalid, focused = false, onText }: SecretProps) {
  const [shown, setShown] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (focused) field.current?.focus();
  }, [focused]);
  useEffect(() => {
    if (field.current) field.current.type = shown ? "text" : "password";
  }, [shown]);
  return (
    <div class="field">
      <input
        id={id}
        ref={field}
        type="password"
        autocomplete="current-password"
        spellcheck={false}
        autocapitalize="off"
        value={value}
        aria-invalid={invalid}
        aria-describedby="sign-in-help"
        onInput={(event) => onText(event.currentTarget.value)}
      />
      <button type="button" class="quiet" aria-pressed={shown} onClick={() => setShown(!shown)}>
        {shown ? "Hide" : "Show"}
      </button>
    </div>
  );
}

function Message({ error, help }: { error: string | null; help: string }) {
  return (
    <p id="sign-in-help" class={error ? "help error" : "help"} role={error ? "alert" : undefined}>
      {error ?? help}
    </p>
  );
}

function Submit({ busy }: { busy: boolean }) {
  return (
    <button type="submit" class="button primary" disabled={busy}>
      {busy ? "Signing in…" : "Sign in"}
    </button>
  );
}

function errorText(failure: unknown): string {
  return failure instanceof ApiError ? failure.message : "Sign-in failed. Try again.";
}

function keyErrorText(failure: unknown): string {
  if (failure instanceof ApiError && (failure.status === 401 || failure.status === 403)) {
    return "This key is not accepted. Check that you copied all of it.";
  }
  return errorText(failure);
}
