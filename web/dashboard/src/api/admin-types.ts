/** The API's answers on the pages for administrators. */
export interface PageAnswer {
  readonly next: string | null;
}

export interface HoldItem {
  readonly id: number;
  readonly scope: string;
  readonly from_ms: number;
  readonly to_ms: number | null;
  readonly placed_by: string;
  readonly placed_ms: number;
  readonly why: string;
  readonly lifted_by: string | null;
  readonly lifted_ms: number | null;
  readonly lifted_why: string | null;
}
export interface Holds extends PageAnswer {
  readonly holds: readonly HoldItem[];
}

export interface RuleItem {
  readonly scope: string;
  readonly days: number;
  readonly set_by: string;
  readonly set_ms: number;
}
export interface Rules extends PageAnswer {
  readonly rules: readonly RuleItem[];
}
export interface FootageAmount {
  readonly chunks: number;
  readonly fragments: number;
  readonly size_bytes: number;
}
export interface PreviewAnswer {
  readonly scope: string;
  readonly days: number | null;
  readonly days_before: number | null;
  readonly at_ms: number;
  readonly until_ms: number;
  readonly etag: string;
  readonly deleted: FootageAmount;
  readonly due: FootageAmount;
  readonly held: FootageAmount;
  readonly cameras: number;
  readonly camera_ids: readonly string[];
  readonly oldest_ms: number | null;
  readonly newest_ms: number | null;
  readonly holds: readonly number[];
}

export interface KeyItem {
  readonly id: number;
  readonly name: string;
  readonly hint: string;
  readonly state: "valid" | "expired" | "revoked";
  readonly grants: readonly string[];
  readonly edge_of: string | null;
  readonly networks: readonly string[] | null;
  readonly created_ms: number;
  readonly created_by: string | null;
  readonly expires_ms: number | null;
  readonly revoked_ms: number | null;
  readonly used_ms: number | null;
  readonly rotated_from: number | null;
}
export interface CreatedKey extends KeyItem {
  readonly key: string;
}
export interface Keys extends PageAnswer {
  readonly keys: readonly KeyItem[];
}

export interface TenantItem {
  readonly id: string;
  readonly name: string;
  readonly created_ms: number;
}
export interface SiteItem {
  readonly id: string;
  readonly tenant: string;
  readonly site: string;
  readonly name: string;
  readonly zone: string;
  readonly created_ms: number;
}
export interface Sites extends PageAnswer {
  readonly sites: readonly SiteItem[];
}

export interface SessionInfo {
  readonly id: string;
  readonly name: string;
  readonly login: string | null;
  readonly grants: readonly string[];
  readonly may: readonly { readonly scope: string; readonly permissions: readonly string[] }[];
  readonly session: string | null;
  readonly has_password: boolean;
  readonly has_totp: boolean;
  readonly recovery_codes: number | null;
}
export interface SessionItem {
  readonly id: string;
  readonly user: string | null;
  readonly key: number | null;
  readonly current: boolean;
  readonly created_ms: number;
  readonly seen_ms: number;
  readonly until_ms: number;
  readonly address: string;
  readonly agent: string;
}
export interface SessionList {
  readonly sessions: readonly SessionItem[];
}
export interface TotpEnrolment {
  readonly secret: string;
  readonly uri: string;
}
export interface RecoveryCodes {
  readonly recovery_codes: readonly string[];
}

export interface AdminCamera {
  readonly id: string;
  readonly tenant: string;
  readonly site: string;
  readonly camera: string;
  readonly name: string;
  readonly state: "recording" | "late" | "offline" | "new";
  readonly last_ms: number | null;
  readonly retired_ms: number | null;
  readonly disabled_ms: number | null;
  readonly etag: string;
}
export interface AdminCameras extends PageAnswer {
  readonly cameras: readonly AdminCamera[];
}
