import { useEffect, useState } from "preact/hooks";
import { signOut } from "../api/client";
import { EnrolTotp } from "./enrol-totp";

interface Props {
  onEnrolled(): void;
  onSignedOut(): void;
}

/** What a person sees whose roles need a second factor, until he has set one up. */
export function MustEnrol({ onEnrolled, onSignedOut }: Props) {
  const [enrols, setEnrols] = useState(false);
  useEffect(() => {
    document.title = "Second factor · Vigil";
  }, []);
  return (
    <main class="centre">
      <section class="notice must-enrol">
        <h1>Set up a second factor</h1>
        <p>
          Your roles can change, delete or export something. So they need a code of an authenticator
          app at each sign-in. Set it up now; everything else opens then.
        </p>
        <div class="form-actions">
          <button type="button" class="button" onClick={() => void signOut().finally(onSignedOut)}>
            Sign out
          </button>
          <button type="button" class="button primary" onClick={() => setEnrols(true)}>
            Set up
          </button>
        </div>
      </section>
      {enrols && <EnrolTotp onDone={onEnrolled} onClose={() => setEnrols(false)} />}
    </main>
  );
}
