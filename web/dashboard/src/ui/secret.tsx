import { useState } from "preact/hooks";
import { Dialog } from "./dialog";

/** A secret that is shown once, with a button that copies it. */
export function Secret({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      // Clipboards need HTTPS: the text can be selected.
    }
  };
  return (
    <div class="secret">
      <code class="code">{text}</code>
      <button type="button" class="button small" onClick={() => void copy()}>
        {copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}

interface DialogProps {
  readonly title: string;
  readonly text: string;
  /** What to do with the secret. */
  readonly advice: string;
  onClose(): void;
}

/** A dialog that shows a secret once. */
export function SecretDialog({ title, text, advice, onClose }: DialogProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{advice}</p>
      <Secret text={text} />
      <div class="form-actions">
        <button type="button" class="button primary" onClick={onClose}>
          I have copied it
        </button>
      </div>
    </Dialog>
  );
}
