import type { ComponentChildren } from "preact";
import { ADMIN_PAGES } from "../admin/pages";
import { signOut } from "../api/client";
import { serverNow } from "../clock";
import { localZone, zoneLabel } from "../format";
import { type Theme, theme, zoneChoice } from "../prefs";
import { follow, type Route, useRoute } from "../router";
import { may, session } from "../session";
import { useStore } from "../store";
import { useZone } from "../zone";
import { Clock, HalfMoon, Leave, Mark, Moon, Person, Sun } from "./icons";

interface Props {
  readonly children: ComponentChildren;
  /** What the header shows next to the name. */
  readonly place?: ComponentChildren;
  readonly fill?: boolean;
  onSignedOut(): void;
}

export function Shell({ children, place, fill, onSignedOut }: Props) {
  return (
    <div class={fill ? "shell fill" : "shell"}>
      <header class="top">
        <a class="brand" href="/" onClick={follow} aria-label="Vigil: show all cameras">
          <Mark /> <span class="brand-name">Vigil</span>
        </a>
        {place === undefined && <Pages />}
        <div class="place">{place}</div>
        <ZoneSwitch />
        <ThemeSwitch />
        <Account />
        <button
          type="button"
          class="quiet icon-button"
          title="Sign out"
          aria-label="Sign out"
          onClick={() => void signOut().finally(onSignedOut)}
        >
          <Leave />
        </button>
      </header>
      {children}
    </div>
  );
}

const PAGES: readonly [Route["page"], string, string][] = [
  ["wall", "/", "Cameras"],
  ["sites", "/sites", "Sites"],
];
const ADMIN: [Route["page"], string, string] = ["admin", "/admin", "Admin"];

function Pages() {
  const { page } = useRoute();
  const who = useStore(session);
  const isAdmin = ADMIN_PAGES.some(({ permission }) => may(who, permission));
  return (
    <nav class="pages" aria-label="Pages">
      {[...PAGES, ...(isAdmin ? [ADMIN] : [])].map(([name, path, text]) => (
        <a
          key={name}
          href={path}
          onClick={follow}
          aria-current={page === name ? "page" : undefined}
        >
          {text}
        </a>
      ))}
    </nav>
  );
}

function Account() {
  const who = useStore(session);
  const { page } = useRoute();
  if (who === null) return null;
  return (
    <a
      class="quiet account"
      href="/account"
      onClick={follow}
      title={`Your account: ${who.name}`}
      aria-label={`Your account: ${who.name}`}
      aria-current={page === "account" ? "page" : undefined}
    >
      <Person /> <span class="account-name">{who.name}</span>
    </a>
  );
}

function ZoneSwitch() {
  const choice = useStore(zoneChoice);
  const zone = useZone();
  const local = localZone();
  const label = zoneLabel(serverNow(), zone);
  const sameAsUtc = zoneLabel(serverNow(), local) === "UTC";
  if (sameAsUtc) {
    return (
      <span class="zone-switch" title="All times are in UTC">
        <Clock /> UTC
      </span>
    );
  }
  const other = choice === "local" ? "UTC" : local.name;
  return (
    <button
      type="button"
      class="quiet zone-switch"
      title={`Times are in ${zone.name}. Show them in ${other}.`}
      onClick={() => zoneChoice.set(choice === "local" ? "utc" : "local")}
    >
      <Clock /> {label}
    </button>
  );
}

const NEXT_THEME: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
const THEME_WORDS: Record<Theme, string> = { auto: "as the system", light: "light", dark: "dark" };

function ThemeSwitch() {
  const choice = useStore(theme);
  const text = `Theme: ${THEME_WORDS[choice]}. Change to ${THEME_WORDS[NEXT_THEME[choice]]}.`;
  return (
    <button
      type="button"
      class="quiet icon-button"
      title={text}
      aria-label={text}
      onClick={() => theme.set(NEXT_THEME[choice])}
    >
      {choice === "light" ? <Sun /> : choice === "dark" ? <Moon /> : <HalfMoon />}
    </button>
  );
}
