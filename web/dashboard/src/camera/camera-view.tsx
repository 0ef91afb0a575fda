import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Camera } from "../api/types";
import { serverNow } from "../clock";
import { compareLabels } from "../detections/labels";
import { neighbour, type Sighting } from "../detections/sightings";
import { Player } from "../player/player";
import { boxesShown, hiddenLabels } from "../prefs";
import { createStore, useStore } from "../store";
import { Timeline } from "../timeline/timeline";
import { Problem } from "../ui/problem";
import { useZone } from "../zone";
import { Controls } from "./controls";
import { Help } from "./help";
import { type Command, commandOf } from "./keys";
import { LabelToggles } from "./label-toggles";
import { useSightings } from "./sighting-list";
import { Sightings } from "./sightings";
import { SnapshotDialog } from "./snapshot";
import { Stage } from "./stage";

/** Playback of an offline camera starts this long before its last frame. */
const LAST_FOOTAGE_MS = 20_000;
/** Playback of a sighting starts a little before it. */
const LEAD_MS = 1000;

export function CameraView({ camera }: { camera: Camera }) {
  const { id, first_ms: firstMs, last_ms: lastMs } = camera;
  const zone = useZone();
  const video = useRef<HTMLVideoElement>(null);
  const poster = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [player, setPlayer] = useState<Player | null>(null);
  const [unplayable, setUnplayable] = useState(false);
  const zoomBy = useRef<(factor: number) => void>(() => {});
  const [help, setHelp] = useState(false);
  const [takes, setTakes] = useState(false);
  const [seen, setSeen] = useState<Set<string>>(new Set());
  const hiddenList = useStore(hiddenLabels);
  const hidden = useMemo(() => new Set(hiddenList), [hiddenList]);
  const openedAtMs = useRef(lastMs);
  openedAtMs.current ??= lastMs;
  const list = useSightings(id, firstMs, openedAtMs.current);
  const noPlayhead = useMemo(() => createStore<number | null>(null), []);
  const playing = useMemo(() => createStore<Sighting | null>(null), []);
  const aspect = camera.width && camera.height ? camera.width / camera.height : 16 / 9;

  const recorded = firstMs !== null;
  const opening = useRef(camera);
  useEffect(() => {
    if (!recorded) return;
    let made: Player | null = null;
    let left = false;
    void import("hls.js").then(({ default: HlsJs }) => {
      if (left || !video.current || !poster.current) return;
      if (!HlsJs.isSupported()) {
        setUnplayable(true);
        return;
      }
      made = new Player(HlsJs, video.current, poster.current, id);
      setPlayer(made);
      const { state, last_ms } = opening.current;
      if (state === "offline" && last_ms !== null) void made.seek(last_ms - LAST_FOOTAGE_MS);
      else made.goLive();
    });
    return () => {
      left = true;
      made?.destroy();
      setPlayer(null);
    };
  }, [id, recorded]);

  const shownSightings = useMemo(
    () => list.sightings.filter(({ label }) => !hidden.has(label)),
    [list.sightings, hidden],
  );

  useEffect(() => {
    if (!player) return;
    return player.playhead.subscribe((ms) => {
      if (ms === null) return;
      const current = playing.get();
      if (current && ms >= current.fromMs - LEAD_MS && ms < current.toMs) return;
      playing.set(shownSightings.find(({ fromMs, toMs }) => ms >= fromMs && ms < toMs) ?? null);
    });
  }, [player, playing, shownSightings]);

  const play = (sighting: Sighting): void => {
    playing.set(sighting);
    void player?.seek(Math.max(firstMs ?? 0, sighting.fromMs - LEAD_MS));
    player?.play();
  };

  const toSighting = (at: number, step: 1 | -1): void => {
    if (step === -1 && at < list.sinceMs + 60_000) list.reach(at - 3_600_000);
    const next = neighbour(shownSightings, at, step, LEAD_MS + 500);
    if (next) play(next);
  };

  const run = (command: Command): void => {
    switch (command.do) {
      case "help":
        setHelp(true);
        break;
      case "snapshot":
        setTakes(true);
        break;
      case "boxes":
        boxesShown.set(!boxesShown.get());
        break;
      case "full-screen":
        toggleFullScreen(frame.current);
        break;
      case "zoom":
        zoomBy.current(command.factor);
        break;
      case "toggle":
        player?.toggle();
        break;
      case "nudge":
        player?.nudge(command.byMs);
        break;
      case "frame":
        player?.step(command.step);
        break;
      case "rate":
        player?.changeRate(command.step);
        break;
      case "live":
        player?.goLive();
        break;
      case "sighting":
        toSighting(player?.playhead.get() ?? serverNow(), command.step);
    }
  };

  const latestRun = useRef(run);
  latestRun.current = run;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
      const command = commandOf(event);
      if (!command) return;
      // Space on a focused button presses that button, as usual.
      if (event.key === " " && event.target instanceof HTMLButtonElement) return;
      event.preventDefault();
      latestRun.current(command);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  const labels = useMemo(() => {
    const all = new Set([...seen, ...camera.labels_recent.map(({ label }) => label)]);
    return [...all].sort(compareLabels);
  }, [seen, camera.labels_recent]);

  if (!recorded) {
    return (
      <main class="centre">
        <Problem
          title="No footage yet"
          detail="This camera is registered, but no footage has arrived. It appears here as soon as it does. If that takes long, run “vigil edge check” on the edge device."
        />
      </main>
    );
  }
  return (
    <main class="camera">
      <div class="camera-main" ref={frame}>
        {unplayable ? (
          <div class="stage">
            <p class="stage-note big">
              This browser cannot play the footage: it has no Media Source Extensions. Use a current
              Chrome, Edge, Firefox or Safari.
            </p>
          </div>
        ) : (
          <Stage
            player={player}
            cameraId={id}
            video={video}
            poster={poster}
            hidden={hidden}
            aspect={aspect}
            zone={zone}
          />
        )}
        {player ? (
          <Controls player={player} camera={camera} run={run} />
        ) : (
          <div class="controls" aria-hidden="true" />
        )}
        <Timeline
          cameraId={id}
          firstMs={firstMs}
          lastMs={lastMs}
          playhead={player?.playhead ?? noPlayhead}
          zone={zone}
          hidden={hidden}
          aspect={aspect}
          onSeek={(ms) => {
            void player?.seek(ms);
            player?.play();
          }}
          onLabels={setSeen}
          zoomBy={zoomBy}
        />
        <LabelToggles labels={labels} />
      </div>
      <Sightings
        cameraId={id}
        list={list}
        hidden={hidden}
        playing={playing}
        zone={zone}
        aspect={aspect}
        onPlay={play}
      />
      {help && <Help onClose={() => setHelp(false)} />}
      {takes && player && (
        <SnapshotDialog
          camera={camera}
          player={player}
          video={video.current}
          zone={zone}
          onClose={() => setTakes(false)}
        />
      )}
    </main>
  );
}

function toggleFullScreen(element: HTMLElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void element?.requestFullscreen?.();
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLInputElement ||
    target instanceof HTMLSelectElement ||
    target instanceof HTMLTextAreaElement
  );
}
