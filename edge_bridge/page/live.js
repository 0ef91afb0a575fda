// A camera's live picture in a video element: a WebSocket, Media Source Extensions, no library.

const RESERVE_S = 0.1, JUMP_S = 1.5, EARLY_S = 0.25, RETRY_MS = 1000, MOST_RETRY_MS = 15000, SILENT_MS = 6000;
const STEP_S = 0.04, KEEP_S = 10, EVICT_S = 20, MOST_WAITING = 400;
const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

export const playsLive = () => Boolean(Source);

/** The content of a box: [start, end]; `path` names the boxes from the outside. */
function boxAt(view, path) {
  let start = 0, end = view.byteLength;
  for (const name of path) {
    for (;;) {
      if (start + 8 > end) return null;
      const size = view.getUint32(start);
      if (size < 8 || start + size > end) return null;
      if (String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(start + i))) === name) { end = start + size; start += 8; break; }
      start += size;
    }
  }
  return [start, end];
}

/** When a segment's first picture is shown, in ticks of its own timeline (media/fmp4.py). */
function ticksOf(view) {
  const [decode] = boxAt(view, ["moof", "traf", "tfdt"]), [run] = boxAt(view, ["moof", "traf", "trun"]);
  return Number(view.getBigUint64(decode + 4)) + view.getInt32(run + 12 + 12);
}

export class LivePicture {
  /** `events`: onPicture(utcMs) for each picture on the screen, onState(text) for what is missing. */
  constructor(video, url, events) {
    this.video = video;
    this.url = url;
    this.events = events;
    this.failures = 0;
    this.times = [];
    this.abort = new AbortController();
    this.timer = setInterval(() => this.check(), 250);
    document.addEventListener("visibilitychange", () => this.check(), { signal: this.abort.signal });
    video.addEventListener("error", () => this.stop("This browser cannot play the live picture."), { signal: this.abort.signal });
    this.watch();
    this.connect();
  }

  close() {
    this.abort.abort();
    clearInterval(this.timer);
    clearTimeout(this.retry);
    this.drop();
    if (this.address) URL.revokeObjectURL(this.address);
  }

  stop(text) {
    this.close();
    this.events.onState(text, true);
  }

  connect() {
    this.heard = performance.now();
    this.reason = "";
    const socket = this.socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.heard = performance.now();
      try {
        if (typeof data === "string") this.text(JSON.parse(data)); else this.binary(data);
      } catch { this.lost(); }
    };
    socket.onclose = () => { if (socket === this.socket) this.lost(); };
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  lost() {
    this.drop();
    this.events.onState(this.reason || "The live picture is interrupted.", false);
    const wait = Math.min(MOST_RETRY_MS, RETRY_MS * 2 ** this.failures++);
    this.retry = setTimeout(() => { if (!document.hidden) this.connect(); }, wait * (0.5 + Math.random() / 2));
  }

  text(message) {
    if (message.type === "end") this.reason = message.reason;
    else if (message.type === "format") {
      this.type = `video/mp4; codecs="${message.codecs}"`;
      if (!Source.isTypeSupported(this.type)) this.stop(`This browser does not play ${message.codecs}.`);
    }
  }

  binary(data) {
    const kind = new DataView(data).getUint8(0);
    if (kind === 1) { this.open(); this.tasks = [{ init: new Uint8Array(data, 1), type: this.type }]; this.key = true; }
    else if (this.tasks) {
      if (kind === 2) this.key = false;
      if (this.key || kind > 3) return;
      this.failures = 0;
      if (this.tasks.length > MOST_WAITING) { this.lost(); return; }
      this.tasks.push({ data: new Uint8Array(data, 9), utcMs: Number(new DataView(data).getBigUint64(1)) });
    }
    this.run();
  }

  open() {
    if (this.source) return;
    this.source = new Source();
    this.video.disableRemotePlayback = true;
    this.address = URL.createObjectURL(this.source);
    this.video.src = this.address;
    this.source.addEventListener("sourceopen", () => this.run());
    this.video.play().catch(() => {});
  }

  run() {
    const { source, video } = this;
    if (!source || source.readyState !== "open" || this.buffer?.updating) return;
    try {
      if (this.buffer && video.currentTime > EVICT_S && video.buffered.length && video.currentTime - video.buffered.start(0) > EVICT_S) {
        this.buffer.remove(0, video.currentTime - KEEP_S);
        this.times = this.times.filter(([at]) => at > video.currentTime - KEEP_S);
        return;
      }
      const task = this.tasks.shift();
      if (!task) return;
      if (task.init) {
        if (!this.buffer) {
          this.buffer = source.addSourceBuffer(task.type);
          this.buffer.addEventListener("updateend", () => { this.run(); this.follow(true); });
        } else this.buffer.changeType(task.type);
        const scale = boxAt(new DataView(task.init.buffer, task.init.byteOffset), ["moov", "trak", "mdia", "mdhd"])[0];
        this.scale = new DataView(task.init.buffer, task.init.byteOffset).getUint32(scale + 12);
        this.joins = true;
        this.buffer.appendBuffer(task.init);
        return;
      }
      const at = ticksOf(new DataView(task.data.buffer, task.data.byteOffset)) / this.scale;
      if (this.joins) { // media time continues where the last pictures ended
        this.joins = false;
        this.shift = (this.newest === undefined ? 0 : this.newest + STEP_S) - at;
        this.buffer.timestampOffset = this.shift;
      }
      this.newest = at + this.shift;
      this.times.push([this.newest, task.utcMs]);
      this.buffer.appendBuffer(task.data);
    } catch { this.lost(); }
  }

  /** Stays at the newest picture: a little faster, or by a jump. `fresh`: one came just now. */
  follow(fresh = false) {
    const { video } = this, { buffered } = video;
    if (!buffered.length || this.newest === undefined || video.seeking || document.hidden) return;
    const start = buffered.start(buffered.length - 1), ahead = this.newest - video.currentTime;
    if (video.currentTime < start || ahead > JUMP_S || (fresh && ahead < -EARLY_S)) video.currentTime = Math.max(start, this.newest - RESERVE_S);
    else video.playbackRate = ahead > 3 * RESERVE_S ? 1.1 : ahead <= RESERVE_S ? 1 : video.playbackRate;
  }

  check() {
    if (this.socket && performance.now() - this.heard > SILENT_MS) this.lost();
    else if (!this.socket && !document.hidden && performance.now() - this.heard > SILENT_MS) { clearTimeout(this.retry); this.connect(); }
    this.follow();
  }

  watch() {
    const shown = (mediaS) => {
      const found = this.times.findLast(([at]) => at <= mediaS + 0.005);
      if (found) this.events.onPicture(found[1] + (mediaS - found[0]) * 1000);
    };
    if (!("requestVideoFrameCallback" in this.video)) {
      this.video.addEventListener("timeupdate", () => shown(this.video.currentTime), { signal: this.abort.signal });
      return;
    }
    const again = (_, { mediaTime }) => {
      if (this.abort.signal.aborted) return;
      shown(mediaTime);
      this.video.requestVideoFrameCallback(again);
    };
    this.video.requestVideoFrameCallback(again);
  }
}
