import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { follow } from "../router";
import { may, session } from "../session";
import { useStore } from "../store";
import { Problem } from "../ui/problem";
import { AuditLog } from "./audit";
import { AdminCamerasPage } from "./cameras";
import { InstallationCost } from "./cost";
import { FleetPage } from "./fleet";
import { AdminGroups } from "./groups";
import { Holds } from "./holds";
import { Keys } from "./keys";
import { ADMIN_PAGES } from "./pages";
import { Retention } from "./retention";
import { AdminSites } from "./sites";
import { InstallationStatus } from "./status";
import { AdminUsers } from "./users";

const BODIES: Record<string, ComponentType> = {
  users: AdminUsers,
  groups: AdminGroups,
  audit: AuditLog,
  cameras: AdminCamerasPage,
  sites: AdminSites,
  fleet: FleetPage,
  holds: Holds,
  keys: Keys,
  retention: Retention,
  status: InstallationStatus,
  cost: InstallationCost,
};

/** The pages for administrators and auditors. A person sees those that his roles allow. */
export function Admin({ section }: { section: string }) {
  const who = useStore(session);
  const visible = ADMIN_PAGES.filter(({ permission }) => may(who, permission));
  const page = section
    ? ADMIN_PAGES.find(({ name }) => name === section)
    : (visible[0] ?? ADMIN_PAGES[0]);

  useEffect(() => {
    document.title = `${page?.title ?? "Administration"} · Vigil`;
  }, [page]);

  if (who === null) return <main class="centre" aria-busy="true" />;
  const Body = page && BODIES[page.name];
  return (
    <div class="admin">
      <nav class="admin-nav" aria-label="Administration">
        {visible.map(({ name, title }) => (
          <a
            key={name}
            href={`/admin/${name}`}
            onClick={follow}
            aria-current={page?.name === name ? "page" : undefined}
          >
            {title}
          </a>
        ))}
        <a href="/api/v1/docs">API</a>
      </nav>
      <main>
        {!page || !Body ? (
          <Problem title="Page not found" detail="Check the address." />
        ) : may(who, page.permission) ? (
          <Body />
        ) : (
          <Problem
            title={`${page.title}: not allowed`}
            detail={`This needs the role ${page.roles}. Your roles: ${rolesText(who.grants)}. Ask an administrator of your organisation for it.`}
          />
        )}
      </main>
    </div>
  );
}

function rolesText(grants: readonly string[]): string {
  return grants.length === 0
    ? "none"
    : grants.map((grant) => grant.replace(":", " on ")).join(", ");
}
