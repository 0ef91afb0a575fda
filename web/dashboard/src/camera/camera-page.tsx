import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, getCamera } from "../api/client";
import type { Camera, CameraEvent, DetectionEvent, FootageEvent } from "../api/types";
import { CameraStates } from "../camera-states";
import { serverNow, useServerNow } from "../clock";
import { liveCamera } from "../live-camera";
import { eventsPath, useLiveEvents } from "../live-events";
import { usePolling } from "../poll";
import { follow } from "../router";
import { missingReason } from "../sites/health";
import { useEdges } from "../sites/use-edges";
import { Problem } from "../ui/problem";
import { Shell } from "../ui/shell";
import { Age, StateBadge } from "../ui/state";
import { useZone } from "../zone";
import { CameraView } from "./camera-view";

const POLL_MS = 3000;
/** While events say what changes. */
const CALM_POLL_MS = 15_000;

interface Props {
  readonly id: string;
  onSignedOut(): void;
}

export function CameraPage({ id, onSignedOut }: Props) {
  const ask = useCallback(
    async (signal: AbortSignal) => {
      const askedMs = serverNow();
      return { camera: await getCamera(id, signal), askedMs };
    },
    [id],
  );
  const states = useRef(new CameraStates());
  const listed = useRef<readonly Camera[]>([]);
  const [, setEvents] = useState(0);
  const live = useLiveEvents(eventsPath(["camera", "footage", "detection"], id), () => ({
    camera: (event: CameraEvent) => {
      if (states.current.take(event, listed.current) && listed.current.length > 0) retry();
      setEvents((count) => count + 1);
    },
    footage: (event: FootageEvent) => {
      states.current.takeFootage(event);
      liveCamera.noteFootage();
      setEvents((count) => count + 1);
    },
    detection: ({ detections }: DetectionEvent) =>
      liveCamera.noteDetections(detections.map(({ at_ms }) => at_ms)),
  }));
  liveCamera.open = live;
  const { value, error, retry } = usePolling(ask, live ? CALM_POLL_MS : POLL_MS, id);
  listed.current = value === null ? [] : [value.camera];
  const [camera] = value === null ? [null] : states.current.applied([value.camera], value.askedMs);

  useEffect(() => {
    document.title = `${camera?.name ?? id} · Vigil`;
  }, [camera?.name, id]);

  return (
    <Shell fill onSignedOut={onSignedOut} place={camera && <Place camera={camera} />}>
      {camera ? (
        <CameraView camera={camera} />
      ) : error ? (
        <main class="centre">
          <Missing id={id} error={error} retry={retry} />
        </main>
      ) : (
        <main class="camera" aria-busy="true">
          <div class="stage" style={{ "--aspect": "1.777" }} />
        </main>
      )}
      {camera && error && (
        <p class="banner" role="alert">
          <b>Not up to date.</b> {error.message}
        </p>
      )}
    </Shell>
  );
}

function Place({ camera }: { camera: Camera }) {
  const nowMs = useServerNow();
  const zone = useZone();
  const { tenant, site, name, last_ms } = camera;
  const reason = missingReason(camera, useEdges(camera.state !== "recording"), nowMs);
  return (
    <>
      <span class="crumb">
        {tenant} / {site}
      </span>
      <h1>{name}</h1>
      <StateBadge camera={camera} nowMs={nowMs} zone={zone} />
      {camera.state !== "recording" && last_ms !== null && (
        <Age ms={last_ms} nowMs={nowMs} zone={zone} />
      )}
      {reason && (
        <span class="place-reason" title={reason}>
          {reason}
        </span>
      )}
    </>
  );
}

function Missing({ id, error, retry }: { id: string; error: Error; retry: () => void }) {
  const known = error instanceof ApiError && error.status === 404;
  if (!known) {
    return (
      <Problem
        title="The camera cannot be loaded"
        detail={error.message}
        action="Try now"
        onAction={retry}
      />
    );
  }
  return (
    <Problem title="Camera not found" detail={`No camera “${id}” is registered.`}>
      <a class="button" href="/" onClick={follow}>
        To the wall
      </a>
    </Problem>
  );
}
