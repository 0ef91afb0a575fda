import { useEffect, useRef, useState } from "preact/hooks";
import { LiveSession, playsLive } from "../live/live-session";
import { watchFrames } from "../player/frames";
import { LiveSlots } from "./live-slots";

interface Props {
  readonly id: string;
  readonly alt: string;
}

const CHECK_MS = 1000;
/** Without a frame for so long, the newest picture is shown instead. */
const STILL_MS = 3000;
/** A device without a picture is asked again after this time, or twice as much. */
const AGAIN_MS = 30_000;
const slots = new LiveSlots(mostLive());

/** The sub stream, live, over the newest picture, while the tile is in sight. */
export function LivePicture({ id, alt }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const [inSight, setInSight] = useState(false);
  const [live, setLive] = useState(false);
  const [note, setNote] = useState("");

  useEffect(() => {
    const element = video.current;
    if (!element || !playsLive()) return;
    const watcher = new IntersectionObserver(
      (entries) => setInSight(entries.at(-1)?.isIntersecting ?? false),
      { threshold: 0.2 },
    );
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  useEffect(() => {
    const element = video.current;
    if (!inSight || !element) return;
    const controller = new AbortController();
    let shownMs = 0;
    let session: LiveSession | null = null;
    let again = 0;
    let release = (): void => {};
    watchFrames(
      element,
      () => {
        shownMs = performance.now();
        if (session) setLive(true);
      },
      controller.signal,
    );
    const timer = setInterval(() => {
      if (performance.now() - shownMs > STILL_MS) setLive(false);
    }, CHECK_MS);
    const start = (): void => {
      const own = new LiveSession(id, "sub", {
        onPicture: () => {
          if (own.isAttached) return;
          own.attach(element);
          element.play().catch(() => {});
        },
        onLost: (_reason, isFinal) => {
          if (own !== session || (own.isAttached && !isFinal)) return;
          own.destroy();
          session = null;
          release();
          if (isFinal) return;
          again = window.setTimeout(ask, AGAIN_MS * (1 + Math.random()));
        },
        onNote: setNote,
        onDetections: () => {},
      });
      session = own;
    };
    const ask = (): void => {
      release = slots.ask(start);
    };
    ask();
    return () => {
      controller.abort();
      clearInterval(timer);
      clearTimeout(again);
      release();
      session?.destroy();
      session = null;
      element.removeAttribute("src");
      element.load();
      setLive(false);
    };
  }, [id, inSight]);

  return (
    <>
      <video
        ref={video}
        class={live ? "live-picture" : "live-picture waiting"}
        aria-label={alt}
        aria-hidden={!live}
        muted
        playsInline
        tabIndex={-1}
      />
      {live && (
        <span class={note ? "live-mark note" : "live-mark"} title={note || undefined}>
          Live{note && ", main stream"}
        </span>
      )}
    </>
  );
}

/** Each picture costs a socket and a decoder: fewer on a phone, none where data are saved. */
function mostLive(): number {
  const { connection } = navigator as { connection?: { saveData?: boolean } };
  if (connection?.saveData) return 0;
  return matchMedia("(max-width: 640px)").matches ? 4 : 12;
}
