"use strict";
// The edge's page: a wall of newest pictures, and one camera's footage. No library.

const $ = (id) => document.getElementById(id);
const PICTURE_MS = 2000, STATE_MS = 2000, STRETCH_S = 120;
const words = { recording: "recording", connecting: "connecting", failing: "failing", stopped: "stopped" };
const colour = { recording: "good", connecting: "warn", failing: "bad", stopped: "warn" };

let state = null, shown = null, hours = 1, spans = [], from = 0, to = 0, playFrom = null, skew = 0;
const tiles = new Map();

const time = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const path = (camera) => camera.split("/").map(encodeURIComponent).join("/");
const now = () => Date.now() + skew;

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let n = 0;
  while (bytes >= 1024 && n < units.length - 1) { bytes /= 1024; n++; }
  return `${bytes.toFixed(bytes < 10 && n ? 1 : 0)} ${units[n]}`;
}

async function ask(url, options) {
  const answer = await fetch(url, options);
  if (answer.status === 401) { signedOut(); throw new Error("signed out"); }
  return answer;
}

// -- signing in

function signedOut() {
  state = null;
  $("signin").hidden = false;
  $("wall").hidden = $("player").hidden = $("out").hidden = true;
  $("password").focus();
}

$("signin").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("session", { method: "POST", body: JSON.stringify({ password: $("password").value }) });
  $("refused").textContent = answer.ok ? "" : await answer.text();
  if (!answer.ok) return;
  $("password").value = "";
  $("signin").hidden = true;
  await refresh();
});

$("out").addEventListener("click", async () => { await fetch("session", { method: "DELETE" }); signedOut(); });

// -- the wall

function device(said) {
  const parts = [said.edge];
  const tell = (text, bad) => parts.push(bad ? `⚠ ${text}` : text);
  for (const [name, link] of Object.entries(said.links)) {
    const down = link.down_since_s !== null && link.down_since_s !== undefined;
    tell(down ? `${name.toUpperCase()} out of reach` : `${name.toUpperCase()} reached`, down);
  }
  if (said.disk) tell(`disk ${said.disk.state}`, said.disk.state !== "good");
  if (said.spool) {
    const waits = said.spool.waiting;
    tell(`${size(said.spool.bytes)} held`);
    tell(waits ? `${waits} fragments wait, oldest ${ago(now() - said.spool.oldest_ms)}` : "all uploaded", false);
    if (said.spool.given_up) tell(`${said.spool.given_up} fragments given up`, true);
  }
  if (said.clock !== "right") tell("clock not set: footage is held back", true);
  if (said.inference !== "off") tell(`inference ${said.inference}`, !/running|ready|on/.test(said.inference));
  return parts.join(" · ");
}

function tile(camera) {
  const button = document.createElement("button");
  button.className = "tile";
  button.type = "button";
  button.innerHTML = '<span class="still">no picture yet</span><span class="what"><b></b><span></span></span><span class="why"></span>';
  button.querySelector("b").textContent = camera.split("/").pop();
  button.addEventListener("click", () => open(camera));
  const entry = { button, etag: "", at: 0, src: null };
  tiles.set(camera, entry);
  $("wall").append(button);
  return entry;
}

async function picture(camera, entry) {
  const answer = await ask(`api/cameras/${path(camera)}/picture.jpg`, { headers: entry.etag ? { "If-None-Match": entry.etag } : {}, cache: "no-store" });
  if (answer.status !== 200) return;
  entry.etag = answer.headers.get("ETag") || "";
  entry.at = Number(answer.headers.get("Vigil-Picture-Ms"));
  const src = URL.createObjectURL(await answer.blob());
  const image = new Image();
  image.alt = `Newest picture of ${camera}`;
  image.src = src;
  await image.decode();
  entry.button.querySelector(".still").replaceChildren(image);
  if (entry.src) URL.revokeObjectURL(entry.src);
  entry.src = src;
}

async function refresh() {
  try {
    state = await (await ask("api/state", { cache: "no-store" })).json();
  } catch (error) {
    if (error.message !== "signed out") $("device").textContent = "This device does not answer.";
    return;
  }
  skew = state.now_ms - Date.now();
  $("out").hidden = false;
  $("name").textContent = state.site;
  $("device").textContent = device(state);
  if (shown === null) $("wall").hidden = false;
  for (const one of state.cameras) {
    const entry = tiles.get(one.camera) || tile(one.camera);
    const told = entry.button.querySelector(".what span");
    told.textContent = words[one.state] + (entry.at ? `, picture ${ago(now() - entry.at)} old` : "");
    told.className = colour[one.state];
    entry.button.querySelector(".why").textContent = one.state === "recording" ? "" : `since ${time(one.since_ms)} ${one.detail}`;
  }
}

async function pictures() {
  if (!state || document.hidden || shown !== null) return;
  for (const [camera, entry] of tiles) {
    try { await picture(camera, entry); } catch { return; }
  }
}

// -- one camera

async function open(camera) {
  shown = camera;
  $("camera").textContent = camera;
  $("wall").hidden = true;
  $("player").hidden = false;
  await look();
  newest();
}

$("back").addEventListener("click", () => {
  shown = null;
  $("video").removeAttribute("src");
  $("video").load();
  $("player").hidden = true;
  $("wall").hidden = false;
});

async function look() {
  to = Math.ceil(now());
  from = to - hours * 3600000;
  try {
    const answer = await ask(`api/cameras/${path(shown)}/spans?from=${from}&to=${to}`);
    spans = answer.ok ? (await answer.json()).spans : [];
    if (!answer.ok) $("note").textContent = await answer.text();
  } catch { return; }
  for (const button of document.querySelectorAll(".range")) button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === hours));
  draw();
}

for (const button of document.querySelectorAll(".range")) {
  button.addEventListener("click", () => { hours = Number(button.dataset.hours); look(); });
}
$("newest").addEventListener("click", newest);

function newest() {
  const last = spans[spans.length - 1];
  if (last) play(Math.max(last[0], last[1] - 10000));
  else $("note").textContent = "Nothing of this time is on this device.";
}

function play(at) {
  playFrom = null;
  const video = $("video");
  video.src = `api/cameras/${path(shown)}/play.mp4?at=${Math.round(at)}&for_s=${STRETCH_S}`;
  const inside = spans.find(([start, end]) => at < end && end > at);
  playFrom = inside ? Math.max(at, inside[0]) : at;
  $("note").textContent = "";
  video.play().catch(() => {});
}

$("video").addEventListener("error", () => {
  if ($("video").getAttribute("src")) $("note").textContent = "This browser cannot play it, or nothing is held from then on.";
});
$("video").addEventListener("ended", async () => {
  const at = playFrom + $("video").duration * 1000;
  await look();
  const next = spans.find(([, end]) => end > at + 500);
  if (next) play(Math.max(at, next[0]));
  else $("note").textContent = "This is the newest that is on this device.";
});
$("video").addEventListener("timeupdate", () => {
  if (playFrom !== null) $("clock").textContent = new Date(playFrom + $("video").currentTime * 1000).toLocaleString();
  draw();
});

function draw() {
  const canvas = $("timeline"), dots = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * dots;
  canvas.height = 56 * dots;
  const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const x = (ms) => ((ms - from) / (to - from)) * canvas.width;
  pen.fillStyle = style.getPropertyValue("--accent");
  for (const [start, end] of spans) pen.fillRect(x(start), 12 * dots, Math.max(1, x(end) - x(start)), 20 * dots);
  pen.fillStyle = style.getPropertyValue("--soft");
  pen.font = `${11 * dots}px system-ui`;
  const step = (hours <= 1 ? 10 : hours <= 6 ? 60 : 240) * 60000;
  for (let ms = Math.ceil(from / step) * step; ms < to; ms += step) {
    pen.fillRect(x(ms), 34 * dots, dots, 6 * dots);
    pen.fillText(new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }), x(ms) + 3 * dots, 50 * dots);
  }
  if (playFrom !== null) {
    pen.fillStyle = style.getPropertyValue("--text");
    pen.fillRect(x(playFrom + $("video").currentTime * 1000) - dots, 4 * dots, 2 * dots, 34 * dots);
  }
}

const pointed = (event) => from + (event.offsetX / $("timeline").clientWidth) * (to - from);
$("timeline").addEventListener("click", (event) => play(pointed(event)));
$("timeline").addEventListener("mousemove", (event) => { $("hover").textContent = new Date(pointed(event)).toLocaleString(); });
$("timeline").addEventListener("mouseleave", () => { $("hover").textContent = ""; });
$("timeline").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -10000, ArrowRight: 10000 }[event.key];
  if (by && playFrom !== null) play(playFrom + $("video").currentTime * 1000 + by);
});
window.addEventListener("resize", draw);

$("zone").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
refresh().then(pictures);
setInterval(() => { if (!document.hidden && !$("wall").hidden) refresh(); }, STATE_MS);
setInterval(pictures, PICTURE_MS);
