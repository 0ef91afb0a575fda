/** The keys of the camera page. */

export type Command =
  | { do: "toggle" }
  | { do: "nudge"; byMs: number }
  | { do: "sighting"; step: 1 | -1 }
  | { do: "frame"; step: 1 | -1 }
  | { do: "rate"; step: 1 | -1 }
  | { do: "zoom"; factor: number }
  | { do: "full-screen" }
  | { do: "live" }
  | { do: "boxes" }
  | { do: "snapshot" }
  | { do: "help" };

export interface Press {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

/** What a key press asks for; null when it is none of ours. */
export function commandOf(press: Press): Command | null {
  if (press.ctrlKey || press.metaKey || press.altKey) return null;
  switch (press.key) {
    case " ":
    case "k":
    case "K":
      return { do: "toggle" };
    case "j":
    case "J":
      return { do: "nudge", byMs: -10_000 };
    case "l":
    case "L":
      return { do: "nudge", byMs: 10_000 };
    case "ArrowLeft":
      return press.shiftKey ? { do: "sighting", step: -1 } : { do: "nudge", byMs: -5000 };
    case "ArrowRight":
      return press.shiftKey ? { do: "sighting", step: 1 } : { do: "nudge", byMs: 5000 };
    case ",":
      return { do: "frame", step: -1 };
    case ".":
      return { do: "frame", step: 1 };
    case "<":
    case "[":
      return { do: "rate", step: -1 };
    case ">":
    case "]":
      return { do: "rate", step: 1 };
    case "+":
    case "=":
      return { do: "zoom", factor: 2 };
    case "-":
      return { do: "zoom", factor: 0.5 };
    case "f":
    case "F":
      return { do: "full-screen" };
    case "n":
    case "N":
      return { do: "live" };
    case "b":
    case "B":
      return { do: "boxes" };
    case "s":
    case "S":
      return { do: "snapshot" };
    case "?":
      return { do: "help" };
    default:
      return null;
  }
}

/** For the list behind the question mark. */
export const KEY_HELP: readonly (readonly [string, string])[] = [
  ["Space, K", "Play or pause"],
  ["J, L", "10 seconds back, forward"],
  ["←, →", "5 seconds back, forward"],
  ["Shift ←, Shift →", "Previous, next sighting"],
  [", and .", "One frame back, forward"],
  ["[ and ]", "Slower, faster"],
  ["+ and −", "Zoom the timeline"],
  ["N", "Go to live"],
  ["B", "Boxes on or off"],
  ["S", "Take a picture"],
  ["F", "Full screen"],
  ["?", "This list"],
];
