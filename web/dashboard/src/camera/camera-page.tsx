import { useCallback, useEffect } from "preact/hooks";
import { ApiError, getCamera } from "../api/client";
import type { Camera } from "../api/types";
import { useServerNow } from "../clock";
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

interface Props {
  readonly id: string;
  onSignedOut(): void;
}

export function CameraPage({ id, onSignedOut }: Props) {
  const ask = useCallback((signal: AbortSignal) => getCamera(id, signal), [id]);
  const { value: camera, error, retry } = usePolling(ask, POLL_MS, id);

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
