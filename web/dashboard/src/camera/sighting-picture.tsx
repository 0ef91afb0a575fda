import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, getDetections, getPicture, type Picture } from "../api/client";
import { clearest, cropAround } from "../detections/crop";
import type { Sighting } from "../detections/sightings";

const SHOWN_ASPECT = 4 / 3;
const PICTURE_WIDTH = 640;
const RETRY_MS = 4000;
const MOST_TRIES = 5;
/** A box this far from the frame's own time still shows where the object is. */
const AROUND_MS = 800;
/** Requested a little later, so that the keyframe before it is within the sighting. */
const LATER_MS = 1000;

interface Cut {
  readonly url: string;
  readonly style: Record<string, string>;
}

/** The object, cut out of the clearest frame near the sighting's peak. */
export function SightingPicture(props: { id: string; sighting: Sighting; aspect: number }) {
  const { id, sighting, aspect } = props;
  const frame = useRef<HTMLSpanElement>(null);
  const [cut, setCut] = useState<Cut | null>(null);
  const [failed, setFailed] = useState(false);
  const { label, peakMs } = sighting;

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const controller = new AbortController();
    let made: Cut | null = null;
    let timer = 0;
    let tries = 0;
    const make = async (): Promise<void> => {
      try {
        made = await cutOut(id, label, peakMs, aspect, controller.signal);
        if (controller.signal.aborted) URL.revokeObjectURL(made.url);
        else setCut(made);
      } catch {
        // Footage may arrive later than its detections.
        if (controller.signal.aborted) return;
        if (++tries < MOST_TRIES) timer = window.setTimeout(make, RETRY_MS);
        else setFailed(true);
      }
    };
    const watcher = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        watcher.disconnect();
        void make();
      },
      { rootMargin: "120px" },
    );
    watcher.observe(element);
    return () => {
      controller.abort();
      watcher.disconnect();
      clearTimeout(timer);
      if (made) URL.revokeObjectURL(made.url);
    };
  }, [id, label, peakMs, aspect]);

  return (
    <span class="sighting-picture" ref={frame}>
      {cut && <img src={cut.url} alt="" style={cut.style} />}
      {!cut && !failed && <span class="skeleton" />}
    </span>
  );
}

async function pictureNear(id: string, peakMs: number, signal: AbortSignal): Promise<Picture> {
  try {
    return await getPicture(id, PICTURE_WIDTH, peakMs + LATER_MS, signal);
  } catch (error) {
    // Just after the end of the footage there is no frame.
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    return getPicture(id, PICTURE_WIDTH, peakMs, signal);
  }
}

async function cutOut(
  id: string,
  label: string,
  peakMs: number,
  aspect: number,
  signal: AbortSignal,
): Promise<Cut> {
  const picture = await pictureNear(id, peakMs, signal);
  const { shownMs } = picture;
  const found = await getDetections(id, shownMs - AROUND_MS, shownMs + AROUND_MS, signal);
  const best = clearest(found, label, shownMs, AROUND_MS);
  const url = URL.createObjectURL(picture.bytes);
  if (!best) return { url, style: { width: "100%", height: "100%", objectFit: "cover" } };
  const [left, top, width, height] = cropAround(best.box, aspect, SHOWN_ASPECT);
  const style = {
    width: `${100 / width}%`,
    height: `${100 / height}%`,
    left: `${(-100 * left) / width}%`,
    top: `${(-100 * top) / height}%`,
  };
  return { url, style };
}
