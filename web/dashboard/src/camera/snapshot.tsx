import { useEffect, useRef, useState } from "preact/hooks";
import { getEdges, getVersioned, pathOf, send } from "../api/client";
import type { Camera, Command, Edge, NewCommand } from "../api/types";
import { clockTime, shortDate, type Zone, zoneLabel } from "../format";
import type { Player } from "../player/player";

/** A still picture of a camera. */
interface Picture {
  readonly url: string;
  readonly atMs: number | null;
  /** Where it comes from, as a sentence. */
  readonly origin: string;
}

interface Props {
  readonly camera: Camera;
  readonly player: Player;
  readonly video: HTMLVideoElement | null;
  readonly zone: Zone;
  onClose(): void;
}

const WAIT_S = 25;
const QUALITY = 0.92;

/** Live, a picture that the device takes now; else the one on the screen. */
export function SnapshotDialog({ camera, player, video, zone, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [picture, setPicture] = useState<Picture | null>(null);
  const [problem, setProblem] = useState("");
  const taken = useRef({ player, video });

  useEffect(() => {
    dialog.current?.showModal();
    let left = false;
    let made: Picture | null = null;
    const show = (found: Picture, reason = ""): void => {
      made = found;
      if (left) release(found);
      else {
        setPicture(found);
        setProblem(reason);
      }
    };
    const take = async (): Promise<void> => {
      const { player, video } = taken.current;
      if (!player.state.get().live) {
        show(await onScreen(player, video));
        return;
      }
      // What is on the screen now is kept: it is shown if the device takes none.
      const kept = onScreen(player, video);
      kept.catch(() => {});
      try {
        show(await ofDevice(camera.id));
      } catch (error) {
        show(await kept, messageOf(error));
        return;
      }
      kept.then(release).catch(() => {});
    };
    take().catch((error: unknown) => {
      if (!left) setProblem(messageOf(error));
    });
    return () => {
      left = true;
      if (made) release(made);
    };
  }, [camera.id]);

  const atMs = picture?.atMs ?? null;
  return (
    <dialog ref={dialog} class="dialog wide" onClose={onClose} aria-labelledby="snapshot-title">
      <h2 id="snapshot-title">Picture of {camera.name}</h2>
      <div role="status">
        {!picture && problem === "" && <p>Taking a picture …</p>}
        {problem !== "" && <p class="warn">{problem}</p>}
        {picture && (
          <>
            <img class="snapshot" src={picture.url} alt={`${camera.name} at this time`} />
            <p>
              {atMs !== null &&
                `${shortDate(atMs, zone)} ${clockTime(atMs, zone)} ${zoneLabel(atMs, zone)}. `}
              {picture.origin}
            </p>
          </>
        )}
      </div>
      <form method="dialog" class="form-actions">
        {picture && (
          <a class="button primary" href={picture.url} download={fileName(camera.id, atMs)}>
            Save
          </a>
        )}
        <button type="submit" class="button">
          Close
        </button>
      </form>
    </dialog>
  );
}

/** Asks the camera's device; throws an error with a text for people. */
async function ofDevice(camera: string): Promise<Picture> {
  const edge = deviceOf((await getEdges()).edges, camera);
  if (!edge) throw new Error("The camera's device is not connected: this is the picture shown.");
  const path = `/api/v1/edges/${pathOf(`${edge.site}/${edge.edge}`)}/commands`;
  const body: NewCommand = { kind: "snapshot", camera };
  const { id } = await send<Command>(path, { method: "POST", body });
  const { value } = await getVersioned<Command>(`${path}/${id}?wait=${WAIT_S}`);
  if (value.body_type !== "image/jpeg") {
    throw new Error(value.detail || "The device did not answer in time.");
  }
  const picture = await fetch(`${path}/${id}/body`);
  if (!picture.ok) throw new Error("The picture of the device cannot be loaded.");
  const atMs = value.result?.at_ms;
  return {
    url: URL.createObjectURL(await picture.blob()),
    atMs: typeof atMs === "number" ? atMs : null,
    origin: "Taken by the device, with its privacy masks.",
  };
}

/** The connected device that records a camera. */
export function deviceOf(edges: readonly Edge[], camera: string): Edge | null {
  const found = edges.find(
    ({ link_since_ms, cameras }) =>
      link_since_ms !== null && cameras.some((each) => each.camera === camera),
  );
  return found ?? null;
}

/** Copies the picture on the screen. */
async function onScreen(player: Player, video: HTMLVideoElement | null): Promise<Picture> {
  const atMs = player.playhead.get();
  if (!video?.videoWidth) throw new Error("No picture is shown now.");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, "image/jpeg", QUALITY);
  });
  if (!blob) throw new Error("This browser cannot save the picture.");
  return { url: URL.createObjectURL(blob), atMs, origin: "As it was on the screen." };
}

function release({ url }: Picture): void {
  URL.revokeObjectURL(url);
}

/** The name of the file, with the time in UTC. */
export function fileName(camera: string, atMs: number | null): string {
  const time = atMs === null ? "" : `-${new Date(atMs).toISOString().replace(/[:.]/g, "-")}`;
  return `${camera.replaceAll("/", "-")}${time}.jpg`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "The picture cannot be taken.";
}
