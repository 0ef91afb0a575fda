/** The pages for administrators and auditors, and the permission that each needs. */
export interface AdminPage {
  readonly name: string;
  readonly title: string;
  /** Of domain/access.py. */
  readonly permission: string;
  /** The roles that have it, for people who lack it. */
  readonly roles: string;
}

export const ADMIN_PAGES: readonly AdminPage[] = [
  { name: "users", title: "Users", permission: "users:manage", roles: "admin" },
  { name: "groups", title: "Groups", permission: "users:manage", roles: "admin" },
  { name: "keys", title: "API keys", permission: "keys:manage", roles: "admin" },
  { name: "cameras", title: "Cameras", permission: "site:configure", roles: "admin" },
  { name: "sites", title: "Sites", permission: "site:configure", roles: "admin" },
  { name: "fleet", title: "Fleet", permission: "site:configure", roles: "admin" },
  { name: "retention", title: "Retention", permission: "retention:manage", roles: "admin" },
  { name: "holds", title: "Legal holds", permission: "hold:manage", roles: "operator or admin" },
  { name: "audit", title: "Audit log", permission: "audit:read", roles: "auditor" },
  { name: "status", title: "Status", permission: "metrics:read", roles: "admin" },
  { name: "cost", title: "Cost", permission: "metrics:read", roles: "admin" },
];
