import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { serverNow } from "../clock";
import { clockTime, preciseTime, shortDate, span, type Zone, zoneLabel } from "../format";
import { theme } from "../prefs";
import { type Store, useStore } from "../store";
import { reasonText } from "../ui/text";
import { TimelineData } from "./data";
import { drawTimeline, type Palette, paletteOf, TIMELINE_HEIGHT } from "./draw";
import { attachGestures } from "./gestures";
import { HoverPictures, pictureStep } from "./hover";
import { Readout } from "./readout";
import { around, type Bounds, clamp, follow, msOf, spanOf, type View, zoom } from "./scale";

interface Props {
  readonly cameraId: string;
  readonly firstMs: number | null;
  readonly lastMs: number | null;
  readonly playhead: Store<number | null>;
  readonly zone: Zone;
  readonly hidden: ReadonlySet<string>;
  readonly aspect: number;
  onSeek(ms: number): void;
  onLabels(labels: Set<string>): void;
  /** Set by the timeline: zooms round the playhead. */
  readonly zoomBy: { current: (factor: number) => void };
}

const SPANS: readonly [string, number][] = [
  ["1 min", 60_000],
  ["10 min", 600_000],
  ["1 h", 3_600_000],
  ["6 h", 21_600_000],
  ["24 h", 86_400_000],
  ["7 days", 604_800_000],
];
const POPOVER_WIDTH = 208;

interface Hover {
  readonly x: number;
  readonly ms: number;
}

export function Timeline(props: Props) {
  const { cameraId, firstMs, lastMs, playhead, zone, hidden, aspect, onSeek, onLabels } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [hover, setHover] = useState<Hover | null>(null);
  const [, redraw] = useState(0);
  const view = useRef<View>(firstView(firstMs, lastMs));
  const [spanMs, setSpanMs] = useState(spanOf(view.current));
  const chosenTheme = useStore(theme);

  // What the drawing reads, always of the newest render.
  const now = useRef({ zone, hidden, hover, firstMs, onSeek, onLabels });
  now.current = { zone, hidden, hover, firstMs, onSeek, onLabels };

  const parts = useMemo(() => {
    let asked = false;
    let palette: Palette | null = null;
    const paint = (): void => {
      asked = false;
      const element = canvas.current;
      if (!element) return;
      palette ??= paletteOf(element);
      drawTimeline(element, {
        view: view.current,
        slices: data.slices(view.current, element.clientWidth || 1),
        playheadMs: playhead.get(),
        hoverMs: now.current.hover?.ms ?? null,
        nowMs: serverNow(),
        zone: now.current.zone,
        hidden: now.current.hidden,
        palette,
      });
      element.dataset.from = String(Math.round(view.current.fromMs));
      element.dataset.to = String(Math.round(view.current.toMs));
    };
    const ask = (): void => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(paint);
    };
    const data = new TimelineData(cameraId, () => {
      now.current.onLabels(data.labels());
      ask();
    });
    const pictures = new HoverPictures(cameraId, () => redraw((count) => count + 1));
    const repalette = (): void => {
      palette = null;
      ask();
    };
    return { ask, data, pictures, repalette };
  }, [cameraId, playhead]);

  const bounds = (): Bounds => boundsOf(now.current.firstMs, spanOf(view.current));
  const show = (next: View): void => {
    view.current = next;
    setSpanMs(spanOf(next));
    parts.ask();
  };

  const zoomAtPlayhead = (factor: number): void => {
    const { fromMs, toMs } = view.current;
    const at = playhead.get();
    const centre = at !== null && at >= fromMs && at <= toMs ? at : (fromMs + toMs) / 2;
    show(zoom(view.current, factor, centre, bounds()));
  };

  props.zoomBy.current = zoomAtPlayhead;

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const timer = setInterval(parts.ask, 1000);
    const resized = new ResizeObserver(parts.ask);
    resized.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: light)");
    scheme.addEventListener("change", parts.repalette);
    let previous = playhead.get();
    const unfollow = playhead.subscribe((ms) => {
      if (ms !== null && previous !== null) {
        const next = follow(view.current, previous, ms, bounds());
        if (next !== view.current) show(next);
      } else if (ms !== null && (ms < view.current.fromMs || ms > view.current.toMs)) {
        show(around(ms, spanOf(view.current), bounds(), 0.5));
      }
      previous = ms;
      parts.ask();
    });
    const detach = attachGestures(element, {
      zoom: (factor, x) =>
        show(zoom(view.current, factor, msOf(view.current, element.clientWidth, x), bounds())),
      panBy: (pixels) => {
        const byMs = (pixels / element.clientWidth) * spanOf(view.current);
        const { fromMs, toMs } = view.current;
        show(clamp({ fromMs: fromMs + byMs, toMs: toMs + byMs }, bounds()));
      },
      hover: (x) =>
        setHover(x === null ? null : { x, ms: msOf(view.current, element.clientWidth, x) }),
      pick: (x) =>
        now.current.onSeek(
          Math.min(serverNow(), Math.round(msOf(view.current, element.clientWidth, x))),
        ),
    });
    return () => {
      clearInterval(timer);
      resized.disconnect();
      scheme.removeEventListener("change", parts.repalette);
      unfollow();
      detach();
      parts.data.destroy();
    };
  }, [parts]);

  useEffect(parts.repalette, [chosenTheme]);
  useEffect(parts.ask, [zone.name, hidden, hover]);

  const setSpan = (ms: number): void => {
    const centre = playhead.get() ?? serverNow();
    const nearNow = serverNow() - centre < ms * 0.2;
    show(around(centre, ms, boundsOf(now.current.firstMs, ms), nearNow ? 0.85 : 0.5));
  };

  return (
    <section class="timeline" aria-label="Timeline">
      <div class="timeline-head">
        <Readout playhead={playhead} zone={zone} onSeek={onSeek} />
        <fieldset class="segmented" aria-label="Time shown">
          {SPANS.map(([name, ms]) => (
            <button
              type="button"
              key={name}
              class={Math.abs(spanMs - ms) < ms * 0.02 ? "on" : ""}
              aria-pressed={Math.abs(spanMs - ms) < ms * 0.02}
              onClick={() => setSpan(ms)}
            >
              {name}
            </button>
          ))}
        </fieldset>
        <fieldset class="segmented" aria-label="Zoom">
          <button type="button" aria-label="Show more time" onClick={() => zoomAtPlayhead(0.5)}>
            −
          </button>
          <button
            type="button"
            aria-label="Show less time"
            data-zoom-in
            onClick={() => zoomAtPlayhead(2)}
          >
            +
          </button>
        </fieldset>
      </div>
      <div class="timeline-body">
        <canvas
          ref={canvas}
          class="timeline-canvas"
          style={{ height: `${TIMELINE_HEIGHT}px` }}
          role="img"
          aria-label="Recorded time, gaps and detections. Click to play from there. Press ? for the keys."
          data-testid="timeline"
        />
        {hover && (
          <HoverCard
            hover={hover}
            width={canvas.current?.clientWidth ?? 0}
            zone={zone}
            aspect={aspect}
            spanMs={spanMs}
            data={parts.data}
            pictures={parts.pictures}
            firstMs={firstMs}
          />
        )}
      </div>
    </section>
  );
}

interface CardProps {
  readonly hover: Hover;
  readonly width: number;
  readonly zone: Zone;
  readonly aspect: number;
  readonly spanMs: number;
  readonly data: TimelineData;
  readonly pictures: HoverPictures;
  readonly firstMs: number | null;
}

function HoverCard({ hover, width, zone, aspect, spanMs, data, pictures, firstMs }: CardProps) {
  const { x, ms } = hover;
  const last = useRef<string | null>(null);
  const recorded = data.isRecorded(ms);
  const gap = recorded === false ? data.gapAt(ms) : undefined;
  let text: string | null = null;
  if (ms > serverNow()) text = "Not yet recorded";
  else if (gap) {
    text = `No footage for ${span(gap.to_ms - gap.from_ms)}: ${reasonText(gap.reason)}`;
  } else if (firstMs !== null && ms < firstMs) text = "Before the first recording";
  else if (recorded === false) text = "No footage";
  const source = text
    ? null
    : pictures.at(ms, pictureStep(spanMs, width), (at) => data.isRecorded(at) !== false);
  if (source) last.current = source;
  const half = POPOVER_WIDTH / 2;
  const left = Math.max(half, Math.min(width - half, x)) - half;
  return (
    <div class="hover-card" style={{ left: `${left}px`, width: `${POPOVER_WIDTH}px` }}>
      <div class="hover-picture" style={{ aspectRatio: String(aspect) }}>
        {text ? (
          <p class={gap ? "hover-text hatched" : "hover-text"}>{text}</p>
        ) : (
          (source ?? last.current) && (
            <img src={source ?? last.current ?? ""} alt="" class={source ? "" : "old"} />
          )
        )}
      </div>
      <p class="hover-time">
        {spanMs > 20 * 3_600_000 && <span>{shortDate(ms, zone)} </span>}
        <b>{spanMs < 120_000 ? preciseTime(ms, zone) : clockTime(ms, zone)}</b>{" "}
        <span class="zone">{zoneLabel(ms, zone)}</span>
      </p>
    </div>
  );
}

function boundsOf(firstMs: number | null, spanMs: number): Bounds {
  const now = serverNow();
  const maxMs = now + spanMs * 0.08;
  const earliest = Math.min(firstMs ?? now, now - 24 * 3_600_000);
  return { minMs: Math.min(earliest, maxMs - spanMs), maxMs };
}

/** Opens on the newest footage: the last hour, or ten minutes when little has been recorded. */
function firstView(firstMs: number | null, lastMs: number | null): View {
  const end = lastMs ?? serverNow();
  const recorded = firstMs === null ? 0 : end - firstMs;
  const spanMs = recorded < 600_000 ? 600_000 : 3_600_000;
  return around(end, spanMs, boundsOf(firstMs, spanMs), 0.95);
}
