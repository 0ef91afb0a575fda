import { useState } from "preact/hooks";
import { send } from "../api/client";
import type { RecoveryCodes, TotpEnrolment } from "../api/types";
import { Dialog } from "../ui/dialog";
import { Form, TextField } from "../ui/form";
import { QrCode } from "../ui/qr-code";
import { Secret } from "../ui/secret";

const PATH = "/api/v1/session/totp";

interface Props {
  onDone(): void;
  onClose(): void;
}

export function CodeField({ code, onCode }: { code: string; onCode(code: string): void }) {
  return (
    <TextField
      label="Code"
      autocomplete="one-time-code"
      value={code}
      required
      help="Of your authenticator app."
      onText={onCode}
    />
  );
}

/** Three steps: the password, the secret with a first code, the recovery codes. */
export function EnrolTotp({ onDone, onClose }: Props) {
  const [password, setPassword] = useState("");
  const [enrolment, setEnrolment] = useState<TotpEnrolment | null>(null);
  const [code, setCode] = useState("");
  const [recovery, setRecovery] = useState<readonly string[] | null>(null);
  const begin = async (): Promise<void> => {
    const body = { password };
    setEnrolment(await send<TotpEnrolment>(PATH, { method: "POST", body }));
  };
  const finish = async (): Promise<void> => {
    const answer = await send<RecoveryCodes>(PATH, {
      method: "PUT",
      body: { totp: code.trim() },
    });
    setRecovery(answer.recovery_codes);
  };
  if (recovery !== null) {
    return (
      <Dialog title="Recovery codes" onClose={onDone}>
        <p>
          The second factor is on. If you lose your phone, each of these codes works once in place
          of a code. Keep them where only you find them.
        </p>
        <Secret text={recovery.join("\n")} />
        <div class="form-actions">
          <button type="button" class="button primary" onClick={onDone}>
            I have kept them
          </button>
        </div>
      </Dialog>
    );
  }
  if (enrolment !== null) {
    return (
      <Dialog title="Add a second factor" onClose={onClose}>
        <p>Scan this with your authenticator app, or type the secret into it.</p>
        <QrCode text={enrolment.uri} label="QR code of the secret below" />
        <Secret text={enrolment.secret} />
        <p>
          <a class="link" href={enrolment.uri}>
            Open in an authenticator app
          </a>
        </p>
        <Form action="Turn on" onSend={finish} onCancel={onClose}>
          <CodeField code={code} onCode={setCode} />
        </Form>
      </Dialog>
    );
  }
  return (
    <Dialog title="Add a second factor" onClose={onClose}>
      <Form action="Continue" onSend={begin} onCancel={onClose}>
        <TextField
          label="Password"
          type="password"
          autocomplete="current-password"
          value={password}
          required
          onText={setPassword}
        />
      </Form>
    </Dialog>
  );
}
