// One camera's footage: an MP4 clip at a time, and a timeline of what is on the device.
import { hourMinute, moment, reasonOf, zoneName } from "./text.js";

const $ = (id) => document.getElementById(id);
const CLIP_S = 120, JUMP_MS = 10000, HOUR_MS = 3600000, REFRESH_MS = 5000;

let ask = null, closed = null, now = Date.now;
let camera = null, hours = 1, spans = [], from = 0, to = 0, playFrom = null, lastRequest = 0;

const path = () => camera.split("/").map(encodeURIComponent).join("/");
const video = $("video"), line = $("timeline");
const at = () => playFrom + video.currentTime * 1000;

/** `fetcher`: a fetch that shows the sign-in on 401; `onClose`: called when the player closes. */
export function initPlayer(fetcher, onClose) {
  ask = fetcher;
  closed = onClose;
}

/** The camera that is open, or null. */
export const shown = () => camera;

/** Opens a camera at its newest footage; `clock` returns the device's time (UTC ms). */
export async function open(id, clock) {
  camera = id;
  now = clock;
  $("camera").textContent = id.split("/").pop();
  $("clock").textContent = "";
  $("note").textContent = "";
  spans = [];
  $("player").hidden = false;
  scrollTo(0, 0);
  await refreshSpans();
  newest();
}

export function close() {
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

function newest() {
  const last = spans[spans.length - 1];
  if (last) void play(Math.max(last[0], last[1] - JUMP_MS));
  else if (camera !== null) $("note").textContent = "This device has no footage of this time.";
}

/** Plays from the fragment that contains a moment, or from the next one on the device. */
async function play(ms) {
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
  else $("note").textContent = "This is the newest footage on this device.";
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
  if (playFrom !== null) {
    pen.fillStyle = colour("--accent");
    pen.fillRect(x(at()) - dots, 6 * dots, 2 * dots, 30 * dots);
  }
}

function jump(ms) { if (playFrom !== null) void play(Math.max(spans[0]?.[0] ?? 0, at() + ms)); }

function key(event) {
  if (camera === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const plain = event.target === document.body || event.target === line || event.target === video;
  switch (event.key) {
    case "Escape": back(); break;
    case "n": case "N": void refreshSpans().then(newest); break;
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
$("newest").addEventListener("click", () => void refreshSpans().then(newest));
for (const button of document.querySelectorAll(".range")) {
  button.addEventListener("click", () => { hours = Number(button.dataset.hours); void refreshSpans(); });
}
video.addEventListener("error", () => {
  if (video.getAttribute("src")) $("note").textContent = "This browser cannot play this footage, or the footage was deleted.";
});
video.addEventListener("ended", () => void playNext());
video.addEventListener("timeupdate", () => {
  if (playFrom === null) return;
  $("clock").textContent = moment(at());
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
