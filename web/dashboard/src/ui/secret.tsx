import { useState } from "preact/hooks";

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
