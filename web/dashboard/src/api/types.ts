// Generated from web/schemas by `make docs`: change the models there, not this file.
// Times are whole milliseconds since 1970, UTC.

/** A registered camera. */
export interface Camera {
  /** tenant/site/camera */
  id: string;
  /** First part of the id. */
  tenant: string;
  /** Second part of the id. */
  site: string;
  /** Third part of the id. */
  camera: string;
  /** Shown to people. */
  name: string;
  /** By the age of the newest footage, see `limits`; `new`: none yet. */
  state: "new" | "recording" | "late" | "offline";
  /** recording: start of the run; late, offline: end of the newest footage; new: when it was registered. (ms since 1970, UTC) */
  since_ms: number;
  /** Whether two devices record it at once. One of them is shown live; recorded playlists list each moment once. */
  two_recorders: boolean;
  /** Start of the oldest footage; null: none. (ms since 1970, UTC) */
  first_ms: number | null;
  /** End of the newest footage; null: none. (ms since 1970, UTC) */
  last_ms: number | null;
  /** When it was taken out of use; null while it is in use. (ms since 1970, UTC) */
  retired_ms: number | null;
  /** Pixels of the newest footage; null: none. */
  width: number | null;
  /** Pixels of the newest footage; null: none. */
  height: number | null;
  /** What was detected in the last 5 minutes, the highest count first. */
  labels_recent: LabelCount[];
}

/** `camera`: all cameras at the beginning, later those whose state changed. */
export interface CameraEvent {
  /** (ms since 1970, UTC) */
  now_ms: number;
  cameras: StreamedCamera[];
}

/** A page of cameras, by id. */
export interface Cameras {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  /** Time of the answer; ages are measured from it. (ms since 1970, UTC) */
  now_ms: number;
  limits: Limits;
  cameras: Camera[];
}

/** A camera as its edge device sees it. */
export interface CaptureStatus {
  /** tenant/site/camera */
  camera: string;
  /** State of its capture. */
  state: "recording" | "connecting" | "failing" | "stopped";
  /** Since when it has been in this state (device's clock). (ms since 1970, UTC) */
  since_ms: number;
  /** Text of the last error, or empty. */
  detail: string;
}

/** The joined fragments of one run that start in one window. */
export interface Chunk {
  /** The run: a UUIDv7. */
  run: string;
  /** (ms since 1970, UTC) */
  window_start_ms: number;
  /** Length of the window. (ms) */
  window_ms: number;
  /** Counts up when the chunk is made again. */
  revision: number;
  /** Start of its footage. (ms since 1970, UTC) */
  start_ms: number;
  /** End of its footage. (ms since 1970, UTC) */
  end_ms: number;
  /** (bytes) */
  size_bytes: number;
  /** 32 hex digits of what was joined; part of its address. */
  digest: string;
  /** Which rule made this revision due. */
  reason: "complete" | "run-ended" | "grace" | "idle" | "late";
  /** Where its bytes are: a path of this server. */
  url: string;
}

/** The objects of a range, and what is missing. */
export interface Chunks {
  /** (ms since 1970, UTC) */
  from_ms: number;
  /** (ms since 1970, UTC) */
  to_ms: number;
  /** Chunks that overlap the range, by window and run. */
  chunks: Chunk[];
  /** Fragments that are in no chunk yet. */
  fragments: FragmentLink[];
  gaps: Gap[];
}

/** One object in one frame. */
export interface Detection {
  /** Time of the frame. (ms since 1970, UTC) */
  at_ms: number;
  /** The run: a UUIDv7. */
  run: string;
  /** Time of the frame in its run. (1/90000 s) */
  pts: number;
  /** Its number among the objects of the frame. */
  index: number;
  /** The model that detected it. */
  model: string;
  model_version: string;
  /** What it is, such as `person`. */
  label: string;
  /** How sure the model is, 0 to 1. */
  score: number;
  /** [x, y, width, height] in fractions of the frame, from its top left. */
  box: [number, number, number, number];
  /** Objects with the same track are one object in successive frames. */
  track: string | null;
}

/** The most objects of a label in one frame of a bucket. */
export interface DetectionCount {
  /** Start of the bucket, a multiple of `bucket_ms`. (ms since 1970, UTC) */
  at_ms: number;
  label: string;
  count: number;
}

/** `detection`: at most 200 objects of one run and model, each sent once. */
export interface DetectionEvent {
  camera: string;
  /** The run: a UUIDv7. */
  run: string;
  model: string;
  model_version: string;
  detections: StreamedObject[];
}

/** A page of detections, by time. */
export interface Detections {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  detections: Detection[];
}

/** A camera as its device sees it. */
export interface DeviceCamera {
  camera: string | null;
  state: string | null;
  detail: string | null;
}

/** `device`: all devices at the beginning, later those whose state changed. */
export interface DeviceEvent {
  /** (ms since 1970, UTC) */
  now_ms: number;
  devices: StreamedDevice[];
}

/** The newest heartbeat of an edge device. */
export interface Edge {
  /** tenant/site */
  site: string;
  /** The device's name. */
  edge: string;
  /** When the heartbeat was sent (device's clock). (ms since 1970, UTC) */
  sent_ms: number;
  /** When it arrived (cloud's clock). (ms since 1970, UTC) */
  heard_ms: number;
  /** Version of its software. */
  software: string;
  /** Fragments on its disk. (bytes) */
  spool_bytes: number;
  /** Fragments not yet uploaded. */
  spool_waiting: number;
  /** Start of the oldest fragment not yet uploaded; null: none waits. (ms since 1970, UTC) */
  spool_oldest_ms: number | null;
  /** Free on the disk of the fragments. (bytes) */
  disk_free_bytes: number;
  cameras: CaptureStatus[];
  /** Version of the site's configuration in use; null: the device's own file. */
  config_version: number | null;
  /** State of the site's configuration; null: the device requests none. */
  config_state: "current" | "trying" | "refused" | "out-of-reach" | "none" | null;
  /** Why, in words. */
  config_detail: string | null;
  /** Whether its clock is synchronised; null: not reported. */
  clock_state: "synchronised" | "unsynchronised" | "unknown" | null;
  /** The largest error of a synchronised clock. (ms) */
  clock_error_ms: number | null;
}

/** A page of edge devices, by site and name. */
export interface Edges {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  /** Time of the answer; ages are measured from it. (ms since 1970, UTC) */
  now_ms: number;
  limits: Limits;
  edges: Edge[];
}

/** `end`: the server closes the stream. Connect again with the last id. */
export interface EndEvent {
  reason: "restart" | "signed-out" | "not-allowed" | "rights-changed" | "unchecked";
}

/** A fragment that is in no chunk yet. */
export interface FragmentLink {
  /** The run: a UUIDv7. */
  run: string;
  /** Its place in the run, from 0. */
  seq: number;
  /** (ms since 1970, UTC) */
  start_ms: number;
  /** (ms since 1970, UTC) */
  end_ms: number;
  /** Where its bytes are: a path of this server. */
  url: string;
}

/** Missing footage: [from_ms, to_ms). */
export interface Gap {
  /** Where it starts. (ms since 1970, UTC) */
  from_ms: number;
  /** Where it ends (not included). (ms since 1970, UTC) */
  to_ms: number;
  /** Why: the reason in a chunk's manifest, else why the run before it ended, else `not yet explained`. */
  reason: string;
}

/** `heartbeat`: nothing happened for 15 s. */
export interface HeartbeatEvent {
  /** (ms since 1970, UTC) */
  now_ms: number;
}

/** An API key, to be exchanged for a cookie. */
export interface KeySignIn {
  /** The API key. */
  key: string;
}

/** A label that was detected lately. */
export interface LabelCount {
  /** What was detected, such as `person`. */
  label: string;
  /** The most objects of the label in one frame. */
  count: number;
}

/** From which age or size on something is late, silent or full. Clients need no own numbers. */
export interface Limits {
  /** Newest footage of at most this age: `recording`. (ms) */
  recording_ms: number;
  /** Of at most this age: `late`; older: `offline`. Footage that waits longer on a device is late too. (ms) */
  late_ms: number;
  /** An edge device without a heartbeat for longer is silent. (ms) */
  edge_silent_ms: number;
  /** An edge device with less free space has a nearly full disk. (bytes) */
  disk_low_bytes: number;
}

/** The process runs. */
export interface Liveness {
  status: "up";
}

/** `lost`: detections between the event before and this one are not sent. */
export interface LostEvent {
  reason: string;
}

/** Why a request was not carried out (RFC 9457). Some kinds have more fields. */
export interface Problem {
  /** The kind: a path of this server with its text, or `about:blank` where the status says all. */
  type: string;
  /** The name of the kind. */
  title: string;
  status: number;
  /** What is wrong, for people. */
  detail: string;
  /** The wrong fields of a body. */
  errors?: { pointer: string; detail: string; }[];
}

/** Whether the worker can answer requests. */
export interface Readiness {
  status: "ready" | "not ready";
  checks: ReadyChecks;
}

/** What the worker needs. */
export interface ReadyChecks {
  /** Whether the worker has started. */
  stream: boolean;
  /** Whether the catalog answers. */
  catalog: boolean;
}

/** Who is signed in. */
export interface SessionInfo {
  /** Name of the key or the user. */
  name: string;
  /** What it may do where: `role:scope`. */
  grants: string[];
}

/** A site's newest configuration. */
export interface SiteConfig {
  /** Counts up. */
  version: number;
  /** SHA-256 of `document` in hex. */
  digest: string;
  /** Canonical JSON as a string, at most 1 MiB. */
  document: string;
}

/** The state of a camera. */
export interface StreamedCamera {
  id: string;
  state: "new" | "recording" | "late" | "offline" | "removed";
  /** (ms since 1970, UTC) */
  since_ms: number;
  /** End of its newest footage. (ms since 1970, UTC) */
  last_ms: number | null;
  /** (ms since 1970, UTC) */
  retired_ms: number | null;
  two_recorders: boolean;
}

/** The state of an edge device. */
export interface StreamedDevice {
  site: string;
  edge: string;
  state: "ok" | "silent" | "removed";
  /** (ms since 1970, UTC) */
  heard_ms: number;
  software: string;
  spool_waiting: number;
  disk_free_bytes: number;
  disk_low: boolean;
  config_version: number | null;
  config_state: string | null;
  config_detail: string | null;
  clock_state: string | null;
  cameras: DeviceCamera[];
}

/** One object in one frame. */
export interface StreamedObject {
  /** Time of the frame. (ms since 1970, UTC) */
  at_ms: number;
  /** Time of the frame in its run, 1/90000 s. */
  pts: number;
  /** Its number among the objects of the frame. */
  index: number;
  label: string;
  score: number;
  /** [x, y, width, height] in fractions of the frame, from its top left. */
  box: [number, number, number, number];
  track: string | null;
}

/** Recorded time, gaps, and counts of detections. */
export interface Timeline {
  /** (ms since 1970, UTC) */
  from_ms: number;
  /** (ms since 1970, UTC) */
  to_ms: number;
  /** Length of a bucket. Above a minute it is whole minutes; ranges above 6 hours have none below a minute. (ms) */
  bucket_ms: number;
  /** Recorded time as [from, to). Holes below 150 ms are closed. */
  covered: [number, number][];
  /** From the camera's first footage on. At the live edge, missing time becomes a gap after `late_ms`, or after `recording_ms` where the run has ended. */
  gaps: Gap[];
  detections: DetectionCount[];
}
