// The edge's page: sign-in, and a wall of the newest pictures. No library.
import { close, initPlayer, open, shown } from "./player.js";
import { deviceRows, moment, reasonOf, span, STATES } from "./text.js";

const $ = (id) => document.getElementById(id);
const PICTURE_MS = 2000, STATE_MS = 2000;
const ORDER = Object.keys(STATES);

let state = null, skew = 0;
const tiles = new Map();

const path = (camera) => camera.split("/").map(encodeURIComponent).join("/");
const now = () => Date.now() + skew;

async function ask(url, options) {
  const answer = await fetch(url, options);
  if (answer.status === 401) { signedOut(); throw new Error("signed out"); }
  return answer;
}

// -- sign-in

function signedOut() {
  if (state === null && !$("signin").hidden) return;
  state = null;
  close();
  $("signin").hidden = false;
  $("wall").hidden = $("device").hidden = $("out").hidden = true;
  $("password").focus();
}

$("signin").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const answer = await fetch("session", { method: "POST", body: JSON.stringify({ password: $("password").value }) });
    $("signin-error").textContent = answer.ok ? "" : await reasonOf(answer);
    if (!answer.ok) { $("password").select(); return; }
  } catch {
    $("signin-error").textContent = "This device does not answer. Try again.";
    return;
  }
  $("password").value = "";
  $("signin").hidden = true;
  await refresh();
  await pictures();
});

$("out").addEventListener("click", async () => {
  try { await fetch("session", { method: "DELETE" }); } finally { signedOut(); }
});

// -- the device

function row(kind, text) {
  const item = document.createElement("li");
  const dot = document.createElement("i"), label = document.createElement("span");
  item.className = kind;
  dot.className = "dot";
  label.textContent = text;
  item.append(dot, label);
  return item;
}

function showDevice(parts) {
  const rows = parts.map(([kind, text]) => row(kind, text));
  // A narrow screen shows only what is wrong.
  if (parts.every(([kind]) => kind === "good" || kind === "idle")) rows.push(row("good all", "Device OK"));
  $("chips").replaceChildren(...rows);
  const problems = parts.filter(([, , detail]) => detail).map(([, text, detail]) => {
    const item = document.createElement("li"), head = document.createElement("b");
    head.textContent = `${text}: `;
    item.append(head, detail);
    return item;
  });
  // Replaced only on a change: a screen reader reads each replacement.
  const text = problems.map((item) => item.textContent).join("");
  if (text !== $("problems").textContent) $("problems").replaceChildren(...problems);
}

async function refresh() {
  try {
    state = await (await ask("api/state", { cache: "no-store" })).json();
  } catch (error) {
    if (error.message !== "signed out" && state) showDevice([["bad", "This device does not answer", "This page shows the last known state and tries again."]]);
    return;
  }
  skew = state.now_ms - Date.now();
  $("out").hidden = $("device").hidden = false;
  $("signin").hidden = true;
  $("name").textContent = state.site;
  $("edge").textContent = state.edge;
  document.title = `${state.site} · Vigil edge`;
  showDevice(deviceRows(state, now()));
  if (shown() === null) $("wall").hidden = false;
  arrange();
}

// -- the wall

function tile(camera) {
  const button = document.createElement("button");
  button.className = "tile";
  button.type = "button";
  button.innerHTML = '<span class="still">No picture yet</span><span class="foot"><b></b><span class="how"><i class="dot"></i><span></span></span><span class="age"></span><span class="why"></span></span>';
  button.querySelector("b").textContent = camera.split("/").pop();
  button.addEventListener("click", () => { $("wall").hidden = true; open(camera, now); });
  const entry = { button, etag: "", at: 0, src: null };
  tiles.set(camera, entry);
  return entry;
}

/** Problems first; a tile moves only where a state has changed. */
function arrange() {
  const known = new Set(state.cameras.map(({ camera }) => camera));
  for (const [camera, { button }] of tiles) {
    if (!known.has(camera)) { button.remove(); tiles.delete(camera); }
  }
  const sorted = [...state.cameras].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.camera.localeCompare(b.camera, undefined, { numeric: true }));
  const buttons = sorted.map((one) => updateTile(tiles.get(one.camera) || tile(one.camera), one));
  if (buttons.length === 0) {
    const none = document.createElement("p");
    none.className = "empty";
    none.textContent = "No camera is configured on this device.";
    buttons.push(none);
  }
  const shownNow = $("wall").children;
  if (buttons.length !== shownNow.length || buttons.some((button, i) => button !== shownNow[i])) $("wall").replaceChildren(...buttons);
}

function updateTile(entry, { state: how, since_ms, detail }) {
  const [label, kind] = STATES[how];
  const { button } = entry;
  button.classList.toggle("bad-tile", kind === "bad");
  button.querySelector(".how").className = `how ${kind}`;
  button.querySelector(".how span").textContent = label;
  button.querySelector(".age").textContent = entry.at ? `${span(now() - entry.at)} ago` : "";
  button.querySelector(".age").title = entry.at ? moment(entry.at) : "";
  button.querySelector(".why").textContent = how === "recording" ? "" : `Since ${moment(since_ms)}${detail ? `: ${detail}` : ""}`;
  return button;
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

async function pictures() {
  if (!state || document.hidden || shown() !== null) return;
  for (const [camera, entry] of [...tiles]) {
    try { await picture(camera, entry); } catch { return; }
  }
}

initPlayer(ask, () => { if (state) $("wall").hidden = false; void pictures(); });
/** Repeats a task: each run starts `ms` after the last one ended, however slow the device is. */
function every(ms, task) {
  const again = async () => { await task(); setTimeout(again, ms); };
  void again();
}
every(STATE_MS, async () => { if (!document.hidden && $("signin").hidden) await refresh(); });
setTimeout(() => every(PICTURE_MS, pictures), 300);
