import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { DetectionStore } from "../detections/store";
import { clockTime, span, type Zone, zoneLabel } from "../format";
import { drawBoxes } from "../player/overlay";
import type { Player } from "../player/player";
import { boxesShown } from "../prefs";
import { useStore } from "../store";
import { reasonText } from "../ui/text";

interface Props {
  readonly player: Player | null;
  readonly cameraId: string;
  readonly video: RefObject<HTMLVideoElement | null>;
  readonly poster: RefObject<HTMLCanvasElement | null>;
  readonly hidden: ReadonlySet<string>;
  readonly aspect: number;
  readonly zone: Zone;
}

/** The video with its boxes and notes. */
export function Stage({ player, cameraId, video, poster, hidden, aspect, zone }: Props) {
  const overlay = useRef<HTMLCanvasElement>(null);
  const boxes = useStore(boxesShown);
  const choice = useRef({ hidden, boxes });
  choice.current = { hidden, boxes };
  const redraw = useRef<() => void>(() => {});

  useEffect(() => {
    const canvas = overlay.current;
    if (!player || !canvas) return;
    let lastMs: number | null = null;
    const draw = (): void => {
      const element = video.current;
      if (!element) return;
      const shown =
        lastMs === null || !choice.current.boxes
          ? []
          : store
              .at(lastMs, player.state.get().rate)
              .filter(({ label }) => !choice.current.hidden.has(label));
      drawBoxes(canvas, element, shown, lastMs);
    };
    const store = new DetectionStore(cameraId, draw);
    redraw.current = draw;
    player.onFrame = (wallMs) => {
      lastMs = wallMs;
      draw();
    };
    player.onDetections = (detections) => store.push(detections);
    const covered = new MutationObserver(() => {
      // While a still image covers the video, boxes would belong to another time.
      if (poster.current && !poster.current.hidden) {
        lastMs = null;
        draw();
      }
    });
    if (poster.current) {
      covered.observe(poster.current, { attributes: true, attributeFilter: ["hidden"] });
    }
    const resized = new ResizeObserver(draw);
    resized.observe(canvas);
    return () => {
      covered.disconnect();
      resized.disconnect();
      store.destroy();
      player.onFrame = () => {};
      player.onDetections = () => {};
    };
  }, [player, cameraId, video, poster]);

  useEffect(() => redraw.current(), [hidden, boxes]);

  return (
    <div class="stage" style={{ "--aspect": String(aspect) }}>
      <video
        ref={video}
        playsInline
        muted
        disablePictureInPicture={false}
        onClick={() => player?.toggle()}
      />
      <canvas ref={poster} class="poster" hidden />
      <canvas ref={overlay} class="overlay" data-testid="overlay" data-boxes="0" />
      {player && <Notes player={player} zone={zone} />}
    </div>
  );
}

function Notes({ player, zone }: { player: Player; zone: Zone }) {
  const state = useStore(player.state);
  const crossing = useStore(player.crossing);
  return (
    <>
      {(state.status === "empty" || state.status === "error") && (
        <p class="stage-note big" role="alert">
          {state.message}
        </p>
      )}
      <div class="stage-foot" aria-live="polite">
        {crossing && (
          <p class="stage-note" data-testid="crossing">
            Skipped {span(crossing.toMs - crossing.fromMs)} without footage:{" "}
            {reasonText(crossing.reason)}. Now at {clockTime(crossing.toMs, zone)}{" "}
            {zoneLabel(crossing.toMs, zone)}.
          </p>
        )}
        {state.status === "waiting" && (
          <p class="stage-note late-note">
            {state.live ? "Waiting for new footage" : "Loading footage"}
          </p>
        )}
      </div>
    </>
  );
}
