/** What a person chose, remembered in this browser. */
import { createSaved } from "./store";

export type Theme = "auto" | "light" | "dark";
export type Density = "large" | "medium" | "small";
export type ZoneChoice = "local" | "utc";

function oneOf<T extends string>(...choices: T[]) {
  return (value: unknown): value is T => choices.includes(value as T);
}

export const theme = createSaved<Theme>("theme", "auto", oneOf("auto", "light", "dark"));
export const density = createSaved<Density>("density", "medium", oneOf("large", "medium", "small"));
export const zoneChoice = createSaved<ZoneChoice>("zone", "local", oneOf("local", "utc"));
export const boxesShown = createSaved<boolean>(
  "boxes",
  true,
  (value): value is boolean => typeof value === "boolean",
);
/** Whether the last visit ended signed in: the page then shows itself without asking first. */
export const wasSignedIn = createSaved<boolean>(
  "signed-in",
  false,
  (value): value is boolean => typeof value === "boolean",
);
export const hiddenLabels = createSaved<string[]>(
  "hidden-labels",
  [],
  (value): value is string[] =>
    Array.isArray(value) && value.every((item) => typeof item === "string"),
);

theme.subscribe((choice) => {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
});
