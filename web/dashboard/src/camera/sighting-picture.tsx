import { useEffect, useRef, useState } from "preact/hooks";
import { getDetections, getPicture } from "../api/client";
import { clearest, cropAround } from "../detections/crop";
import type { Sighting } from "../detections/sightings";

const SHOWN_ASPECT = 4 / 3;
const PICTURE_WIDTH = 640;
/** A box this far from the picture's own moment still shows where to look. */
const AROUND_MS = 800;
/** Wished a little late, so that the keyframe before it lies within the sighting. */
const LATER_MS = 1000;

interface Cut {
  readonly url: string;
  readonly style: Record<string, string>;
}

/** What was seen, cut out of the clearest frame near the sighting's busiest moment. */
export function SightingPicture(props: { id: string; sighting: Sighting; aspect: number }) {
  const { id, sighting, aspect } = props;
  const frame = useRef<HTMLSpanElement>(null);
  const [cut, setCut] = useState<Cut | null>(null);
  const [failed, setFailed] = useState(false);
  const { label, peakMs } = sighting;

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const leave = new AbortController();
    let made: Cut | null = null;
    const make = async (): Promise<void> => {
      try {
        made = await cutOut(id, label, peakMs, aspect, leave.signal);
        if (leave.signal.aborted) URL.revokeObjectURL(made.url);
        else setCut(made);
      } catch {
        if (!leave.signal.aborted) setFailed(true);
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
      leave.abort();
      watcher.disconnect();
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

async function cutOut(
  id: string,
  label: string,
  peakMs: number,
  aspect: number,
  signal: AbortSignal,
): Promise<Cut> {
  const picture = await getPicture(id, PICTURE_WIDTH, peakMs + LATER_MS, signal);
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
