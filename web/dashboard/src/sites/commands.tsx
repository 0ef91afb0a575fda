import { useId, useState } from "preact/hooks";
import { getVersioned, pathOf, send } from "../api/client";
import type { Command, Edge, NewCommand } from "../api/types";
import { may, session } from "../session";
import { useStore } from "../store";

type Kind = NewCommand["kind"];

const WAIT_S = 25;
const ASKED: Record<Kind, string> = {
  snapshot: "Taking a picture",
  diagnostics: "Collecting diagnostics",
  "restart-inference": "Restarting inference",
  "clock-check": "Checking the clock",
  "route-check": "Checking routes",
};
const BUTTONS: readonly (readonly [kind: Kind, text: string])[] = [
  ["clock-check", "Check clock"],
  ["route-check", "Check routes"],
  ["restart-inference", "Restart inference"],
  ["diagnostics", "Get diagnostics"],
];

interface Props {
  readonly edge: Edge;
}

/** What a person can ask a connected device for, and its answer in its own words. */
export function DeviceCommands({ edge }: Props) {
  const who = useStore(session);
  const [asked, setAsked] = useState<Kind | null>(null);
  const [answer, setAnswer] = useState<Command | null>(null);
  const [problem, setProblem] = useState("");
  const path = `/api/v1/edges/${pathOf(`${edge.site}/${edge.edge}`)}/commands`;
  const isAdmin = may(who, "site:configure");
  const sees = may(who, "footage:read") && edge.cameras.length > 0;
  if (!isAdmin && !sees) return null;

  const ask = async (kind: Kind, camera: string | null = null): Promise<void> => {
    setAsked(kind);
    setAnswer(null);
    setProblem("");
    try {
      const body: NewCommand = { kind, camera };
      const { id } = await send<Command>(path, { method: "POST", body });
      const found = await getVersioned<Command>(`${path}/${id}?wait=${WAIT_S}`);
      setAnswer(found.value);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "The command failed.");
    } finally {
      setAsked(null);
    }
  };

  const isOff = edge.link_since_ms === null || asked !== null;
  return (
    <section class="edge-commands" aria-label={`Commands to ${edge.edge}`}>
      <div class="edge-command-buttons">
        {sees && <Snapshot edge={edge} disabled={isOff} onAsk={(id) => ask("snapshot", id)} />}
        {isAdmin &&
          BUTTONS.map(([kind, text]) => (
            <button
              key={kind}
              type="button"
              class="button small"
              disabled={isOff}
              onClick={() => ask(kind)}
            >
              {text}
            </button>
          ))}
      </div>
      <div role="status">
        {edge.link_since_ms === null && (
          <p class="form-help">The device is not connected, so it takes no commands now.</p>
        )}
        {asked !== null && <p>{ASKED[asked]} …</p>}
        {problem !== "" && <p class="warn">{problem}</p>}
        {answer !== null && <Answer answer={answer} path={path} />}
      </div>
    </section>
  );
}

interface SnapshotProps {
  readonly edge: Edge;
  readonly disabled: boolean;
  onAsk(camera: string): void;
}

function Snapshot({ edge, disabled, onAsk }: SnapshotProps) {
  const id = useId();
  const [chosen, setChosen] = useState("");
  const camera = chosen || edge.cameras[0]?.camera || "";
  return (
    <>
      <label class="hidden" for={id}>
        Camera of the snapshot
      </label>
      <select
        id={id}
        value={camera}
        disabled={disabled}
        onChange={(event) => setChosen(event.currentTarget.value)}
      >
        {edge.cameras.map((each) => (
          <option key={each.camera} value={each.camera}>
            {each.camera.split("/").pop()}
          </option>
        ))}
      </select>
      <button type="button" class="button small" disabled={disabled} onClick={() => onAsk(camera)}>
        Take snapshot
      </button>
    </>
  );
}

interface AnswerProps {
  readonly answer: Command;
  readonly path: string;
}

function Answer({ answer, path }: AnswerProps) {
  const body = `${path}/${answer.id}/body`;
  const isPicture = answer.body_type === "image/jpeg";
  return (
    <>
      <p class={answer.state === "answered" ? "" : "warn"}>
        {answer.detail || "There is no answer yet. The device may still be at work."}
      </p>
      {isPicture && <img class="edge-snapshot" src={body} alt="The camera now" />}
      {answer.body_type !== null && !isPicture && (
        <a class="button small" href={body} download>
          Save the bundle
        </a>
      )}
    </>
  );
}
