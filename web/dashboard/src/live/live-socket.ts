/** The socket of one live picture: connects again with jitter, sleeps while the page is hidden. */
import { pathOf } from "../api/client";
import { type LiveMessage, parseMessage } from "./messages";

export type Feed = "main" | "sub";

export interface LiveSocketEvents {
  onMessage(message: LiveMessage): void;
  /** A connection began: the next media follow an init segment. */
  onConnected(): void;
  /** The connection ended, or there is none; it tries again. `reason` is a sentence, or empty. */
  onLost(reason: string): void;
}

const RETRY_MS = 1000;
const MOST_RETRY_MS = 30_000;
/** Without a message for so long the connection is broken, as after sleep. */
const SILENT_MS = 6000;
const CHECK_MS = 1000;
/** A page that is hidden for so long closes its socket. */
const HIDDEN_MS = 10_000;

export class LiveSocket {
  private socket: WebSocket | null = null;
  private failures = 0;
  private heardMs = 0;
  private hiddenMs: number | null = null;
  private retryTimer = 0;
  private readonly checkTimer: number;
  private reason = "";
  private readonly controller = new AbortController();

  constructor(
    private readonly cameraId: string,
    private readonly feed: Feed,
    private readonly events: LiveSocketEvents,
  ) {
    const { signal } = this.controller;
    document.addEventListener("visibilitychange", () => this.seen(), { signal });
    addEventListener("online", () => this.wake(), { signal });
    this.hiddenMs = document.hidden ? performance.now() : null;
    this.checkTimer = window.setInterval(() => this.check(), CHECK_MS);
    this.connect();
  }

  close(): void {
    this.controller.abort();
    clearInterval(this.checkTimer);
    clearTimeout(this.retryTimer);
    this.drop();
  }

  private connect(): void {
    clearTimeout(this.retryTimer);
    const socket = new WebSocket(socketUrl(this.cameraId, this.feed));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heardMs = performance.now();
    this.reason = "";
    socket.onopen = () => this.events.onConnected();
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      this.heardMs = performance.now();
      const message = parseMessage(data);
      if (message?.kind === "end") this.reason = message.reason;
      if (message?.kind === "media") this.failures = 0;
      if (message) this.events.onMessage(message);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
  }

  private lost(): void {
    this.drop();
    this.events.onLost(this.reason);
    if (this.isAsleep()) return;
    const longest = Math.min(MOST_RETRY_MS, RETRY_MS * 2 ** this.failures);
    this.failures++;
    this.retryTimer = window.setTimeout(() => this.connect(), longest * (0.5 + Math.random() / 2));
  }

  private drop(): void {
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private check(): void {
    if (!this.socket) return;
    if (this.isAsleep()) this.lost();
    else if (performance.now() - this.heardMs > SILENT_MS) this.lost();
  }

  private isAsleep(): boolean {
    return this.hiddenMs !== null && performance.now() - this.hiddenMs > HIDDEN_MS;
  }

  private seen(): void {
    if (document.hidden) this.hiddenMs = performance.now();
    else {
      this.hiddenMs = null;
      this.wake();
    }
  }

  /** Connects now instead of later. */
  private wake(): void {
    if (this.socket) return;
    this.failures = 0;
    this.connect();
  }
}

function socketUrl(cameraId: string, feed: Feed): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/api/v1/cameras/${pathOf(cameraId)}/live/socket?feed=${feed}`;
}
