// One camera: live, or an MP4 clip of its footage at a time, with a timeline of what is on the device.
import { LivePicture, playsLive } from "./live.js";
import { hourMinute, moment, reasonOf, span, zoneName } from "./text.js";

const $ = (id) => document.getElementById(id);
const CLIP_S = 120, JUMP_MS = 10000, HOUR_MS = 3600000, REFRESH_MS = 5000;

const LIVE_WITHIN_MS = 5000;

let ask = null, closed = null, now = Date.now;
let live = null, liveMs = null;
let camera = null, hours = 1, spans = [], from = 0, to = 0, playFrom = null, lastRequest = 0;

const path = () => camera.split("/").map(encodeURIComponent).join("/");
const video = $("video"), line = $("timeline");
const at = () => (live ? liveMs : playFrom === null ? null : playFrom + video.currentTime * 1000);

/** `fetcher`: a fetch that shows the sign-in on 401; `onClose`: called when the player closes. */
export function initPlayer(fetcher, onClose) {
  ask = fetcher;
  closed = onClose;
}

/** The camera that is open, or null. */
export const shown = () => camera;

/** Opens a camera live; `clock` returns the device's time (UTC ms). */
export async function open(id, clock) {
  camera = id;
  now = clock;
  $("camera").textContent = id.split("/").pop();
  $("clock").textContent = "";
  $("note").textContent = "";
  spans = [];
  $("player").hidden = false;
  scrollTo(0, 0);
  goLive();
  await refreshSpans();
}

export function close() {
  endLive();
  camera = playFrom = null;
  lastRequest++;
  video.removeAttribute("src");
  video.load();
  $("player").hidden = true;
}

function back() { close(); closed(); }

async function refreshSpans() {
  const asked = camera;
  const until = Math.ceil(now()), since = until - hours * HOUR_MS;
  try {
    const answer = await ask(`api/cameras/${path()}/spans?from=${since}&to=${until}`);
    if (asked !== camera) return;
    if (answer.ok) [spans, from, to] = [(await answer.json()).spans, since, until];
    else $("note").textContent = await reasonOf(answer);
  } catch { return; }
  for (const button of document.querySelectorAll(".range")) button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === hours));
  draw();
}

/** Shows the live picture; the newest footage where this browser or this device cannot. */
function goLive() {
  if (!playsLive()) { void refreshSpans().then(newest); return; }
  endLive();
  lastRequest++;
  playFrom = null;
  $("note").textContent = "";
  video.controls = false;
  const url = new URL(`api/cameras/${path()}/live`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const own = live = new LivePicture(video, url.href, {
    onPicture(utcMs) {
      if (live !== own) return;
      if (liveMs === null) $("note").textContent = "";
      liveMs = utcMs;
      showClock();
    },
    onState(text, isFinal) {
      if (live !== own) return;
      $("note").textContent = text;
      if (!isFinal) return;
      endLive();
      void refreshSpans().then(newest).then(() => { $("note").textContent = text; });
    },
  });
  showPlace();
}

function endLive() {
  live?.close();
  live = liveMs = null;
  video.controls = true;
  video.playbackRate = 1;
}

/** In words, how far behind the picture is. */
function showPlace() {
  const behind = at() === null ? null : Math.max(0, now() - at());
  const isLive = live !== null && behind !== null && behind < LIVE_WITHIN_MS;
  $("place").textContent = isLive ? "Live" : behind === null ? "" : `${span(behind)} behind`;
  $("place").className = isLive ? "good" : "";
  $("newest").setAttribute("aria-pressed", String(live !== null));
}

function showClock() {
  if (at() === null) return;
  $("clock").textContent = moment(at());
  $("clock").dataset.at = Math.round(at());
  showPlace();
}

function newest() {
  const last = spans[spans.length - 1];
  if (last) void play(Math.max(last[0], last[1] - JUMP_MS));
  else if (camera !== null) $("note").textContent = "This device has no footage of this time.";
}

/** Plays from the fragment that contains a moment, or from the next one on the device. */
async function play(ms) {
  endLive();
  const request = ++lastRequest;
  const query = `at=${Math.round(ms)}&for_s=${CLIP_S}`;
  let answer, body;
  try {
    answer = await ask(`api/cameras/${path()}/stretch?${query}`);
    body = answer.ok ? await answer.json() : await reasonOf(answer);
  } catch (error) {
    if (request === lastRequest && error.message !== "signed out") $("note").textContent = "This device does not answer.";
    return;
  }
  if (request !== lastRequest) return;
  if (!answer.ok) { $("note").textContent = body; return; }
  playFrom = body.start_ms;
  video.src = `api/cameras/${path()}/play.mp4?${query}`;
  $("note").textContent = playFrom > ms + 1000 ? `No footage of that time. Playing from ${moment(playFrom)}.` : "";
  video.play().catch(() => {});
}

async function playNext() {
  const ended = playFrom + video.duration * 1000;
  await refreshSpans();
  const next = spans.find(([, end]) => end > ended + 500);
  if (next) void play(Math.max(ended, next[0]));
  else goLive();
}

function draw() {
  const dots = window.devicePixelRatio || 1;
  line.width = line.clientWidth * dots;
  line.height = 56 * dots;
  const pen = line.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name);
  const x = (ms) => ((ms - from) / (to - from)) * line.width;
  pen.fillStyle = colour("--raised");
  pen.fillRect(0, 12 * dots, line.width, 18 * dots);
  pen.fillStyle = colour("--footage");
  for (const [start, end] of spans) pen.fillRect(x(start), 12 * dots, Math.max(dots, x(end) - x(start)), 18 * dots);
  pen.fillStyle = colour("--soft");
  pen.font = `${11 * dots}px system-ui`;
  pen.textAlign = "center";
  const wide = Math.max(2, Math.floor(line.clientWidth / 90));
  const minutes = [5, 10, 15, 20, 30, 60, 120, 240, 360].find((each) => (hours * 60) / each <= wide) || 720;
  const step = minutes * 60000;
  const shift = new Date(from).getTimezoneOffset() * 60000;
  for (let ms = Math.ceil((from - shift) / step) * step + shift; ms < to; ms += step) {
    pen.fillRect(x(ms), 32 * dots, dots, 5 * dots);
    const half = pen.measureText("00:00").width / 2;
    if (x(ms) > half && x(ms) < line.width - half) pen.fillText(hourMinute(ms), x(ms), 50 * dots);
  }
  if (at() !== null) {
    pen.fillStyle = colour("--accent");
    pen.fillRect(x(at()) - dots, 6 * dots, 2 * dots, 30 * dots);
  }
}

function jump(ms) { if (at() !== null) void play(Math.max(spans[0]?.[0] ?? 0, at() + ms)); }

function key(event) {
  if (camera === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const plain = event.target === document.body || event.target === line || event.target === video;
  switch (event.key) {
    case "Escape": back(); break;
    case "n": case "N": goLive(); break;
    case "ArrowLeft": if (!plain) return; jump(-JUMP_MS); break;
    case "ArrowRight": if (!plain) return; jump(JUMP_MS); break;
    case " ":
      if (!plain || event.target === video) return;
      if (video.paused) video.play().catch(() => {}); else video.pause();
      break;
    default: return;
  }
  event.preventDefault();
}

$("back").addEventListener("click", back);
$("newest").addEventListener("click", goLive);
for (const button of document.querySelectorAll(".range")) {
  button.addEventListener("click", () => { hours = Number(button.dataset.hours); void refreshSpans(); });
}
video.addEventListener("error", () => {
  if (!live && video.getAttribute("src")) $("note").textContent = "This browser cannot play this footage, or the footage was deleted.";
});
video.addEventListener("ended", () => { if (!live) void playNext(); });
video.addEventListener("timeupdate", () => {
  if (camera === null || at() === null) return;
  showClock();
  draw();
});
const pointed = (event) => from + (event.offsetX / line.clientWidth) * (to - from);
line.addEventListener("click", (event) => void play(pointed(event)));
line.addEventListener("mousemove", (event) => { $("hover").textContent = moment(pointed(event)); });
line.addEventListener("mouseleave", () => { $("hover").textContent = ""; });
window.addEventListener("keydown", key);
window.addEventListener("resize", () => { if (camera !== null) draw(); });
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => { if (camera !== null) draw(); });
setInterval(() => { if (camera !== null && !document.hidden) void refreshSpans(); }, REFRESH_MS);
$("zone").textContent = zoneName;
