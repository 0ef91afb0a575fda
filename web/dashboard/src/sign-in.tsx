import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, signIn } from "./api/client";
import { Mark } from "./ui/icons";

export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [key, setKey] = useState("");
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    document.title = "Sign in · Vigil";
    field.current?.focus();
  }, []);

  useEffect(() => {
    if (field.current) field.current.type = shown ? "text" : "password";
  }, [shown]);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const given = key.trim();
    if (!given) {
      setError("Enter your API key.");
      field.current?.focus();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await signIn(given);
      onSignedIn();
    } catch (failure) {
      setBusy(false);
      setError(errorText(failure));
      field.current?.select();
    }
  };

  return (
    <main class="sign-in">
      <form class="sign-in-card" onSubmit={submit} aria-busy={busy}>
        <p class="brand brand-large">
          <Mark size={32} /> Vigil
        </p>
        <h1>Sign in</h1>
        <label for="key">API key</label>
        <div class="field">
          <input
            id="key"
            ref={field}
            type="password"
            autocomplete="current-password"
            spellcheck={false}
            autocapitalize="off"
            value={key}
            aria-invalid={error !== null}
            aria-describedby="key-help"
            onInput={(event) => setKey(event.currentTarget.value)}
          />
          <button type="button" class="quiet" aria-pressed={shown} onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "Show"}
          </button>
        </div>
        <p id="key-help" class={error ? "help error" : "help"} role={error ? "alert" : undefined}>
          {error ?? "Ask your administrator for a key. The demo prints one."}
        </p>
        <button type="submit" class="button primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}

function errorText(failure: unknown): string {
  if (!(failure instanceof ApiError)) return "Sign-in failed. Try again.";
  if (failure.status === 401 || failure.status === 403) {
    return "This key is not accepted. Check that you copied all of it.";
  }
  return failure.message;
}
