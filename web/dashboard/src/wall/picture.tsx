import { useEffect, useRef, useState } from "preact/hooks";
import { thumbnailUrl } from "../api/client";
import { NoPicture } from "../ui/icons";

interface Props {
  readonly id: string;
  readonly width: number;
  /** End of the newest footage: a change means that there is a newer picture. */
  readonly lastMs: number | null;
  readonly alt: string;
}

/** The newest picture. A newer one takes its place only when it is ready, so that nothing flickers. */
export function NewestPicture({ id, width, lastMs, alt }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [near, setNear] = useState(false);
  const [shown, setShown] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const watcher = new IntersectionObserver(
      (entries) => setNear(entries.some((entry) => entry.isIntersecting)),
      { rootMargin: "200px" },
    );
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  useEffect(() => {
    if (!near || lastMs === null) return;
    const picture = new Image();
    let stale = false;
    picture.src = thumbnailUrl(id, width, undefined, lastMs);
    picture
      .decode()
      .then(() => {
        if (stale) return;
        setShown(picture.src);
        setFailed(false);
      })
      .catch(() => {
        if (!stale) setFailed(true);
      });
    return () => {
      stale = true;
    };
  }, [id, width, lastMs, near]);

  return (
    <div class="picture" ref={frame}>
      {shown && <img src={shown} alt={alt} draggable={false} />}
      {!shown && lastMs !== null && !failed && <div class="skeleton" />}
      {!shown && (lastMs === null || failed) && (
        <p class="no-picture">
          <NoPicture />
          {lastMs === null ? "No footage yet" : "The picture cannot be loaded"}
        </p>
      )}
    </div>
  );
}
