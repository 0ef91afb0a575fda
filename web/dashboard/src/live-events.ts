/** Server-sent events for the page: what changed, instead of asking every few seconds. */
import { useEffect, useState } from "preact/hooks";
import { createStore, type Store } from "./store";

/** How long to wait after the server refused a stream; until then the page polls. */
const REFUSED_MS = 30_000;

export type EventKind = "camera" | "device" | "footage" | "detection";
type Handlers = Partial<Record<EventKind, (data: never) => void>>;

/**
 * Reads a stream of events until `close`. `open` is true while it works; then a page may ask
 * the server less often. The browser connects again by itself.
 */
export class LiveEvents {
  readonly open: Store<boolean> = createStore(false);
  private source: EventSource | null = null;
  private timer = 0;
  private readonly controller = new AbortController();

  constructor(
    private readonly path: string,
    private readonly handlers: Handlers,
  ) {
    // A hidden page needs no events: its stream is closed.
    document.addEventListener("visibilitychange", () => this.connect(), {
      signal: this.controller.signal,
    });
    this.connect();
  }

  close(): void {
    this.controller.abort();
    this.disconnect();
  }

  private connect(): void {
    this.disconnect();
    if (document.hidden || this.controller.signal.aborted) return;
    const source = new EventSource(this.path);
    this.source = source;
    source.onopen = () => this.open.set(true);
    source.onerror = () => {
      this.open.set(false);
      // The server refused it: a browser does not try again then.
      if (source.readyState === EventSource.CLOSED) {
        this.timer = window.setTimeout(() => this.connect(), REFUSED_MS);
      }
    };
    for (const [kind, handle] of Object.entries(this.handlers)) {
      source.addEventListener(kind, (event) => {
        handle(JSON.parse((event as MessageEvent<string>).data) as never);
      });
    }
  }

  private disconnect(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.open.set(false);
  }
}

/** The address of a stream of some kinds; `camera`: only of this one. */
export function eventsPath(kinds: readonly EventKind[], camera?: string): string {
  const params = new URLSearchParams(kinds.map((kind) => ["kind", kind]));
  if (camera !== undefined) params.set("camera", camera);
  return `/api/v1/events?${params}`;
}

/** Reads a stream while the component is shown; returns whether it works. */
export function useLiveEvents(path: string, handlers: () => Handlers): boolean {
  const [open, setOpen] = useState(false);
  // `handlers` makes them once for a path.
  useEffect(() => {
    const live = new LiveEvents(path, handlers());
    const unsubscribe = live.open.subscribe(setOpen);
    return () => {
      unsubscribe();
      live.close();
      setOpen(false);
    };
  }, [path]);
  return open;
}
