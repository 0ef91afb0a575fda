import type { ComponentChildren } from "preact";
import type { Camera } from "../api/types";
import { useServerNow } from "../clock";
import { roughSpan } from "../format";
import type { Player, PlayerState } from "../player/player";
import { RATES } from "../player/window";
import { boxesShown } from "../prefs";
import { type Store, useStore } from "../store";
import {
  AudioIcon,
  Back,
  Boxes,
  Forward,
  FullScreen,
  Next,
  Pause,
  Play,
  Previous,
  Snapshot,
} from "../ui/icons";
import type { Command } from "./keys";

interface Props {
  readonly player: Player;
  readonly camera: Camera;
  run(command: Command): void;
}

export function Controls({ player, camera, run }: Props) {
  const state = useStore(player.state);
  const boxes = useStore(boxesShown);
  const going = state.status === "playing" || state.status === "waiting";
  return (
    <div class="controls" role="toolbar" aria-label="Player">
      <Tool
        name={going ? "Stop (space)" : "Play (space)"}
        onClick={() => run({ do: "toggle" })}
        main
      >
        {going ? <Pause /> : <Play />}
      </Tool>
      <Tool name="10 seconds back (J)" onClick={() => run({ do: "nudge", byMs: -10_000 })}>
        <Back />
      </Tool>
      <Tool name="10 seconds forward (L)" onClick={() => run({ do: "nudge", byMs: 10_000 })}>
        <Forward />
      </Tool>
      <Tool name="Previous sighting (Shift ←)" onClick={() => run({ do: "sighting", step: -1 })}>
        <Previous />
      </Tool>
      <Tool name="Next sighting (Shift →)" onClick={() => run({ do: "sighting", step: 1 })}>
        <Next />
      </Tool>
      <LivePill player={player} state={state} camera={camera} />
      <span class="stretch" />
      <label class="speed">
        <span class="hidden">Speed</span>
        <select
          value={String(state.rate)}
          title="Speed ([ and ])"
          onChange={(event) => player.setRate(Number(event.currentTarget.value))}
        >
          {RATES.map((rate) => (
            <option key={rate} value={String(rate)}>
              {rate}×
            </option>
          ))}
        </select>
      </label>
      {state.hasAudio && (
        <Tool
          name={state.muted ? "Audio on" : "Audio off"}
          onClick={() => player.setMuted(!state.muted)}
        >
          <AudioIcon off={state.muted} />
        </Tool>
      )}
      <Tool
        name={boxes ? "Hide the boxes (B)" : "Show the boxes (B)"}
        pressed={boxes}
        onClick={() => run({ do: "boxes" })}
      >
        <Boxes />
      </Tool>
      <Tool name="Take a picture (S)" onClick={() => run({ do: "snapshot" })}>
        <Snapshot />
      </Tool>
      <Tool name="Full screen (F)" onClick={() => run({ do: "full-screen" })}>
        <FullScreen />
      </Tool>
      <Tool name="Keys (?)" onClick={() => run({ do: "help" })} extra="only-wide">
        <b aria-hidden="true">?</b>
      </Tool>
    </div>
  );
}

interface ToolProps {
  readonly name: string;
  readonly main?: boolean;
  readonly pressed?: boolean;
  readonly extra?: string;
  readonly children: ComponentChildren;
  onClick(): void;
}

function Tool({ name, main, pressed, extra = "", children, onClick }: ToolProps) {
  return (
    <button
      type="button"
      class={`tool ${main ? "main" : ""} ${pressed ? "on" : ""} ${extra}`}
      title={name}
      aria-label={name}
      aria-pressed={pressed}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

interface PillProps {
  readonly player: Player;
  readonly state: PlayerState;
  readonly camera: Camera;
}

const LIVE_WITHIN_MS = 30_000;
/** A picture of the device that is not further behind is live for people. */
const NOW_MS = 4000;

/** Shows how far playback is behind live; when it is far behind, a button to go live. */
function LivePill({ player, state, camera }: PillProps) {
  const now = useServerNow();
  const at = useStore(player.playhead as Store<number | null>);
  const behind = at === null ? null : Math.max(0, now - at);
  const isLive =
    state.live && state.status !== "paused" && behind !== null && behind < LIVE_WITHIN_MS;
  if (isLive && state.way === "device" && behind < NOW_MS) {
    return (
      <span class="pill live" data-testid="live-pill">
        <i class="dot" aria-hidden="true" /> Live
      </span>
    );
  }
  if (isLive && state.way === "list") {
    return (
      <span class="pill" data-testid="live-pill" title={state.wayReason || undefined}>
        {roughSpan(behind)} behind
      </span>
    );
  }
  const canGoLive = camera.state === "recording" || camera.state === "late";
  const text = behind === null ? "" : `${roughSpan(behind)} behind`;
  if (!canGoLive) return text ? <span class="pill">{text}</span> : null;
  return (
    <button
      type="button"
      class="pill"
      data-testid="live-pill"
      title="Go to live (N)"
      onClick={() => player.goLive()}
    >
      {text && <span class="pill-by">{text}</span>} Go live
    </button>
  );
}
