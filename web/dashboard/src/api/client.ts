import type {
  Camera,
  Cameras,
  Detection,
  Detections,
  Edges,
  Problem,
  SessionInfo,
  SignInProvider,
  SignInProviders,
  SignInRequest,
  Timeline,
} from "./types";

/** A failed request; `message` is for the person at the screen. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when the server could not be reached. */
    readonly status: number,
    message: string,
    /** Its kind, such as `code-required`; empty where the server did not answer. */
    readonly kind = "",
  ) {
    super(message);
  }
}

const UNREACHABLE = "The server does not answer. Check the network. This page tries again.";
const MAX_PAGES = 8;

let onSignedOut: () => void = () => {};

/** `callback` runs whenever the API rejects the session. */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

let onRestricted: () => void = () => {};

/** `callback` runs whenever the API asks for a second factor before anything else. */
export function whenRestricted(callback: () => void): void {
  onRestricted = callback;
}

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, UNREACHABLE);
  }
  if (response.ok) return response;
  // A wrong password of a change is a 401 too: the session goes on then.
  const error = await problemOf(response);
  if (response.status === 401 && !path.startsWith("/api/v1/session")) onSignedOut();
  if (error.kind === "second-factor-required") onRestricted();
  throw error;
}

async function problemOf(response: Response): Promise<ApiError> {
  const { status } = response;
  try {
    const { type, title, detail, request_id } = (await response.json()) as Partial<Problem>;
    const kind = type?.split("/").pop() ?? "";
    const text = detail || title || `The server answered ${status}.`;
    // Who operates the server finds it in the log by its id.
    const named = status >= 500 && request_id ? `${text} (Request ${request_id})` : text;
    return new ApiError(status, named, kind);
  } catch {
    return new ApiError(status, `The server answered ${status}.`);
  }
}

async function json<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal ? { signal } : {});
  return (await response.json()) as T;
}

/** What the server holds, and its version. */
export interface Versioned<T> {
  readonly value: T;
  /** Send it with a change: the server refuses it where somebody else changed it since. */
  readonly etag: string | null;
}

export async function getVersioned<T>(path: string, signal?: AbortSignal): Promise<Versioned<T>> {
  const response = await request(path, signal ? { signal } : {});
  return { value: (await response.json()) as T, etag: response.headers.get("ETag") };
}

interface Sent {
  readonly method: "POST" | "PUT" | "PATCH" | "DELETE";
  readonly body?: unknown;
  readonly etag?: string | null;
}

/** Sends a change; null where the answer has no body. */
export async function send<T>(path: string, { method, body, etag }: Sent): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-Match"] = etag;
  // A repeated POST, such as after a lost answer, is not carried out twice.
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID();
  const init: RequestInit = { method, headers };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await request(path, init);
  return (response.status === 204 ? null : await response.json()) as T;
}

/** The parts of an id or scope as parts of a path. */
export function pathOf(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}

function cameraPath(id: string): string {
  return `/api/v1/cameras/${pathOf(id)}`;
}

function query(values: Record<string, string | number | undefined>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined)
      params.set(name, typeof value === "number" ? `${Math.round(value)}` : value);
  }
  return params.toString();
}

export async function signIn(given: SignInRequest): Promise<void> {
  await send("/api/v1/session", { method: "POST", body: given });
}

/** The OpenID providers to sign in by; none where the server cannot say. */
export async function getProviders(): Promise<SignInProvider[]> {
  try {
    return (await json<SignInProviders>("/api/v1/session/oidc")).providers;
  } catch {
    return [];
  }
}

export async function signOut(): Promise<void> {
  await request("/api/v1/session", { method: "DELETE" });
}

/** Who is signed in; null: no one. */
export async function getSession(): Promise<SessionInfo | null> {
  try {
    return await json<SessionInfo>("/api/v1/session");
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return null;
    throw error;
  }
}

/** All cameras in use, from all pages. */
export async function getCameras(signal?: AbortSignal): Promise<Cameras> {
  const found = await json<Cameras>("/api/v1/cameras", signal);
  while (found.next !== null) {
    const page = await json<Cameras>(`/api/v1/cameras?${query({ cursor: found.next })}`, signal);
    found.cameras.push(...page.cameras);
    found.next = page.next;
  }
  return found;
}

/** All edge devices, from all pages. */
export async function getEdges(signal?: AbortSignal): Promise<Edges> {
  const found = await json<Edges>("/api/v1/edges", signal);
  while (found.next !== null) {
    const page = await json<Edges>(`/api/v1/edges?${query({ cursor: found.next })}`, signal);
    found.edges.push(...page.edges);
    found.next = page.next;
  }
  return found;
}

export const getCamera = (id: string, signal?: AbortSignal): Promise<Camera> =>
  json(cameraPath(id), signal);

export function getTimeline(
  id: string,
  fromMs: number,
  toMs: number,
  buckets: number,
  signal?: AbortSignal,
): Promise<Timeline> {
  return json(`${cameraPath(id)}/timeline?${query({ from: fromMs, to: toMs, buckets })}`, signal);
}

/** Every detection of a short range, page by page. */
export async function getDetections(
  id: string,
  fromMs: number,
  toMs: number,
  signal?: AbortSignal,
): Promise<Detection[]> {
  const found: Detection[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const params = query({ from: fromMs, to: toMs, limit: 5000, cursor });
    const answer = await json<Detections>(`${cameraPath(id)}/detections?${params}`, signal);
    found.push(...answer.detections);
    if (answer.next === null) break;
    cursor = answer.next;
  }
  return found;
}

/** URL of the frame at `atMs`, or of the newest one. A new `version` avoids the browser's cache. */
export function thumbnailUrl(id: string, width: number, atMs?: number, version?: number): string {
  return `${cameraPath(id)}/thumbnail.jpg?${query({ at: atMs, width, v: version })}`;
}

export interface Picture {
  readonly bytes: Blob;
  /** When it was recorded: it is the last keyframe at or before the requested time. */
  readonly shownMs: number;
}

export async function getPicture(
  id: string,
  width: number,
  atMs: number,
  signal?: AbortSignal,
): Promise<Picture> {
  const response = await request(thumbnailUrl(id, width, atMs), signal ? { signal } : {});
  const shown = Number(response.headers.get("Vigil-Picture-Ms") ?? Number.NaN);
  return { bytes: await response.blob(), shownMs: Number.isFinite(shown) ? shown : atMs };
}

export function playlistUrl(id: string, fromMs: number, toMs: number | null): string {
  const range = toMs === null ? { from: fromMs, live: 1 } : { from: fromMs, to: toMs };
  return `${cameraPath(id)}/playlist.m3u8?${query(range)}`;
}
