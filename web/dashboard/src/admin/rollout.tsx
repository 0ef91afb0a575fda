import { useEffect, useState } from "preact/hooks";
import { getVersioned, send } from "../api/client";
import type { Fleet, FleetDevices, Releases, Rollout } from "../api/types";
import { session } from "../session";
import { useStore } from "../store";
import { Dialog } from "../ui/dialog";
import { ChoiceField, Form, failureText, TextField } from "../ui/form";
import { Moment } from "../ui/moment";
import { progressOf, RING_TEXT, RINGS, ROLLOUT_STATES } from "./fleet-state";

const PATH = "/api/v1/rollouts";

type Act = "pause" | "resume" | "rollback" | "stop";

const ACTS: Record<Act, readonly [title: string, effect: string]> = {
  pause: ["Pause", "No further device begins. What is being installed ends."],
  resume: [
    "Resume",
    "Devices that returned, failed or refused try again. Other faults of now do not halt it again.",
  ],
  rollback: [
    "Roll back",
    "Devices on the new release go back to what they ran, ring by ring, at once: outside of their windows too, but not where updates are locked. The release is withdrawn.",
  ],
  stop: ["Stop", "The rollout ends as it is: each device keeps what it runs."],
};
const ALLOWED: Partial<Record<Rollout["state"], readonly Act[]>> = {
  running: ["pause", "rollback", "stop"],
  paused: ["resume", "rollback", "stop"],
  halted: ["resume", "rollback", "stop"],
};
const ACTIVE: readonly Rollout["state"][] = ["running", "paused", "halted", "rolling-back"];

interface Props {
  readonly current: FleetDevices["rollout"];
  readonly devices: readonly Fleet[];
  onChanged(): void;
}

/** The rollout that devices follow: how far each ring is, why it halted, and what can be done. */
export function RolloutPanel({ current, devices, onChanged }: Props) {
  const who = useStore(session);
  const onAll = (permission: string): boolean =>
    who?.may.some(({ scope, permissions }) => scope === "*" && permissions.includes(permission)) ??
    false;
  const [rollout, setRollout] = useState<Rollout | null>(null);
  const [asked, setAsked] = useState<Act | "start" | null>(null);
  const sees = onAll("camera:view");
  const key = sees && current ? `${current.id} ${current.state} ${current.ring}` : null;

  // Its reason changes with its devices, so it is read as often as these.
  useEffect(() => {
    if (key === null) return setRollout(null);
    const controller = new AbortController();
    getVersioned<Rollout>(`${PATH}/${key.split(" ")[0]}`, controller.signal)
      .then(({ value }) => setRollout(value))
      .catch(() => {}); // the next reading of the fleet tries again
    return () => controller.abort();
  }, [key, devices]);

  const done = (): void => {
    setAsked(null);
    onChanged();
  };
  const changes = onAll("site:configure");
  const isActive = current !== null && ACTIVE.includes(current.state);
  return (
    <section>
      <h2>Rollout</h2>
      {current === null ? (
        <p class="notice">
          No rollout yet. A command signs and adds a release:{" "}
          <span class="code">vigil fleet release add</span>. Then a rollout brings it to the rings.
        </p>
      ) : (
        <div class="notice rollout">
          <div class="rollout-head">
            <b>Version {current.version}</b>
            <StateText state={current.state} />
            {rollout && (
              <span class="soft">
                since <Moment ms={rollout.changed_ms} />, started by {rollout.started_by}
              </span>
            )}
          </div>
          {rollout?.reason && (
            <p class={current.state === "halted" ? "bad" : ""}>{sentence(rollout.reason)}</p>
          )}
          <Rings current={current} devices={devices} />
        </div>
      )}
      {changes && (
        <div class="rollout-acts">
          {current !== null &&
            (ALLOWED[current.state] ?? []).map((act) => (
              <button
                key={act}
                type="button"
                class={act === "rollback" ? "button danger" : "button"}
                onClick={() => setAsked(act)}
              >
                {ACTS[act][0]}
              </button>
            ))}
          {!isActive && (
            <button type="button" class="button primary" onClick={() => setAsked("start")}>
              Start a rollout
            </button>
          )}
        </div>
      )}
      {asked === "start" && <StartRollout onDone={done} onClose={() => setAsked(null)} />}
      {asked && asked !== "start" && current && (
        <Confirm act={asked} current={current} onDone={done} onClose={() => setAsked(null)} />
      )}
    </section>
  );
}

function StateText({ state }: { state: Rollout["state"] }) {
  const [look, text] = ROLLOUT_STATES[state];
  return (
    <span class={`state ${look}`}>
      <span class="dot" />
      {text}
    </span>
  );
}

function Rings({
  current,
  devices,
}: Pick<Props, "devices"> & { current: NonNullable<Props["current"]> }) {
  const reached = RINGS.indexOf(current.ring);
  return (
    <ul class="rings">
      {progressOf(devices).map(({ ring, devices: all, updated, inProgress, faults }) => (
        <li key={ring}>
          <span class="ring-name">{RING_TEXT[ring]}</span>
          <span
            class="ring-bar"
            role="img"
            aria-label={`${updated} of ${all} updated, ${faults} with a fault`}
          >
            <span class="ring-done" style={{ width: `${(updated / all) * 100}%` }} />
            <span class="ring-fault" style={{ width: `${(faults / all) * 100}%` }} />
          </span>
          <span class="ring-text">
            {RINGS.indexOf(ring) > reached
              ? `not open, ${all} ${all === 1 ? "device" : "devices"}`
              : [
                  `${updated} of ${all} updated`,
                  inProgress > 0 && `${inProgress} in progress`,
                  faults > 0 && `${faults} with a fault`,
                ]
                  .filter(Boolean)
                  .join(", ")}
          </span>
        </li>
      ))}
    </ul>
  );
}

interface DialogProps {
  onDone(): void;
  onClose(): void;
}

function Confirm({
  act,
  current,
  onDone,
  onClose,
}: DialogProps & { act: Act; current: NonNullable<Props["current"]> }) {
  const [why, setWhy] = useState("");
  const [title, effect] = ACTS[act];
  const confirm = async (): Promise<void> => {
    await send(`${PATH}/${current.id}/${act}`, { method: "POST", body: { why: why.trim() } });
    onDone();
  };
  return (
    <Dialog title={`${title}: version ${current.version}`} onClose={onClose}>
      <p>{effect}</p>
      <Form
        action={`${title} version ${current.version}`}
        dangerous={act === "rollback"}
        onSend={confirm}
        onCancel={onClose}
      >
        <WhyField why={why} onWhy={setWhy} />
      </Form>
    </Dialog>
  );
}

function StartRollout({ onDone, onClose }: DialogProps) {
  const [releases, setReleases] = useState<Releases["releases"] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [release, setRelease] = useState("");
  const [why, setWhy] = useState("");
  useEffect(() => {
    getVersioned<Releases>("/api/v1/releases?limit=100")
      .then(({ value }) => {
        const usable = value.releases.filter((each) => each.withdrawn_ms === null);
        setReleases(usable);
        setRelease(String(usable[0]?.number ?? ""));
      })
      .catch((failure: unknown) => setError(failureText(failure)));
  }, []);
  const start = async (): Promise<void> => {
    await send(PATH, { method: "POST", body: { release: Number(release), why: why.trim() } });
    onDone();
  };
  return (
    <Dialog title="Start a rollout" onClose={onClose}>
      {releases?.length === 0 ? (
        <p>
          There is no release that can be used. A command signs and adds one:{" "}
          <span class="code">vigil fleet release add</span>.
        </p>
      ) : (
        <p>
          It begins with the ring lab. The next ring opens when enough devices succeeded, for the
          soak time. A rule halts it where devices have faults.
        </p>
      )}
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <Form action="Start rollout" disabled={release === ""} onSend={start} onCancel={onClose}>
        {releases && releases.length > 0 && (
          <ChoiceField
            label="Release"
            value={release}
            choices={releases.map(({ number, version, note }) => [
              String(number),
              note ? `${version}: ${note}` : version,
            ])}
            onChoice={setRelease}
          />
        )}
        <WhyField why={why} onWhy={setWhy} />
      </Form>
    </Dialog>
  );
}

function WhyField({ why, onWhy }: { why: string; onWhy(text: string): void }) {
  return (
    <TextField
      label="Why"
      value={why}
      required
      maxLength={500}
      help="The audit log keeps it."
      onText={onWhy}
    />
  );
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
