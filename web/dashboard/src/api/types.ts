// Generated from web/schemas by `make docs`: change the models there, not this file.
// Times are whole milliseconds since 1970, UTC.

/** One act, as it is in its chain. */
export interface Audit {
  /** The tenant, or `*` for the installation's own acts. */
  chain: string;
  /** Its number in the chain, without holes. */
  seq: number;
  /** SHA-256 of the chain up to this entry, hex. */
  hash: string;
  /** When it was done. (ms since 1970, UTC) */
  at_ms: number;
  /** Who: user:ID, key:NUMBER, cli:NAME of the operating system's user, system or anonymous. */
  actor: string;
  /** The session that the actor used. */
  actor_session: string | null;
  /** The user who owns the API key. */
  on_behalf_of: string | null;
  /** What was done, such as key:create. */
  action: string;
  /** On what: a scope, or such as user:ID, key:NUMBER, hold:1. */
  resource: string;
  /** What it was, where it was changed. */
  before: unknown;
  /** What it became; for reads: which part; for refusals: how. */
  after: unknown;
  /** Whether it was carried out. */
  outcome: "done" | "refused";
  /** Id of the HTTP request. */
  request: string | null;
  /** Names, addresses and reasons, by the person or thing that they are about; null: they were erased. */
  personal: Record<string, Record<string, string> | null>;
}

/** A page of the audit log, the newest first. */
export interface AuditPage {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  entries: Audit[];
}

/** What is known here of the backups of PostgreSQL. Whether they can be read, a drill shows. */
export interface BackupStatus {
  /** Whether PostgreSQL archives its WAL, which a restore to a time needs. `unknown`: it does not answer. */
  archive: "on" | "off" | "unknown";
  /** When it last archived; null: never, unknown. (ms since 1970, UTC) */
  archived_ms: number | null;
  /** Since when that fails; null: it does not. (ms since 1970, UTC) */
  failed_ms: number | null;
  /** How far backups reach back, by `VIGIL_BACKUP_DAYS`; null: not set. */
  window_days: number | null;
  /** Day of the last restore drill, by `VIGIL_RESTORE_DRILL_DATE`; null: not set. (ms since 1970, UTC) */
  drill_ms: number | null;
}

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
  /** When it was taken out of use; null while it is in use. Newer footage brings it back. (ms since 1970, UTC) */
  retired_ms: number | null;
  /** Since when it is not to be recorded; null: it is. A device that follows its site's configuration in the catalog stops recording it. Any other must be changed itself. (ms since 1970, UTC) */
  disabled_ms: number | null;
  /** Of its name and of whether it is disabled or retired: `If-Match` of a change. */
  etag: string;
  /** Pixels of the newest footage; null: none. */
  width: number | null;
  /** Pixels of the newest footage; null: none. */
  height: number | null;
  /** What was detected in the last 5 minutes, the highest count first. */
  labels_recent: LabelCount[];
}

/** What changes of a camera. What is absent stays as it is. */
export interface CameraChange {
  /** The new name. */
  name?: string | null;
  /** Whether it is not to be recorded. */
  disabled?: boolean | null;
  /** Whether it is out of use: hidden from lists, its footage is kept. */
  retired?: boolean | null;
}

/** `camera`: all cameras at the beginning, later those whose state changed. */
export interface CameraEvent {
  /** Time of the event. (ms since 1970, UTC) */
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
  /** Start of the window. (ms since 1970, UTC) */
  window_start_ms: number;
  /** Length of the window. (ms) */
  window_ms: number;
  /** Counts up when the chunk is made again. */
  revision: number;
  /** Start of its footage. (ms since 1970, UTC) */
  start_ms: number;
  /** End of its footage. (ms since 1970, UTC) */
  end_ms: number;
  /** Size of the chunk. (bytes) */
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
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  /** Start of the range. (ms since 1970, UTC) */
  from_ms: number;
  /** End of the range (not included). (ms since 1970, UTC) */
  to_ms: number;
  /** Chunks that overlap the range, by window and run. */
  chunks: Chunk[];
  /** Fragments that are in no chunk yet. They come before the chunks. */
  fragments: FragmentLink[];
  /** Of the whole range, on the first page only. */
  gaps: Gap[];
}

/** A command to a device, and its answer. */
export interface Command {
  /** Its id. */
  id: string;
  /** tenant/site/device */
  device: string;
  /** What the device was asked for. */
  kind: "snapshot" | "live" | "diagnostics" | "restart-inference" | "clock-check" | "route-check";
  /** tenant/site/camera; null: of no camera. */
  camera: string | null;
  /** Who gave it. */
  sent_by: string;
  /** When it was given. (ms since 1970, UTC) */
  sent_ms: number;
  /** An answer after it does not count. (ms since 1970, UTC) */
  deadline_ms: number;
  /** sent: it waits for its answer; failed: the device says why in `detail`; expired: there was no answer in time. Only `sent` changes. */
  state: "sent" | "answered" | "failed" | "expired";
  /** Since when the state is final; null: it is not. (ms since 1970, UTC) */
  done_ms: number | null;
  /** The answer, or why there is none, in words. */
  detail: string;
  /** The answer's values, by kind; null: it has none. */
  result: Record<string, unknown> | null;
  /** Media type of the answer's picture or bundle; null: it has none. */
  body_type: string | null;
  /** Its size; null: there is none, or no more. It is kept for an hour. (bytes) */
  body_bytes: number | null;
}

/** A page of a device's commands, the newest first. */
export interface Commands {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  commands: Command[];
}

/** A newer configuration key, signed by the key before it. */
export interface ConfigKeySuccessor {
  /** Ed25519, raw, in base64. */
  public_key: string;
  /** Id of the key before it. */
  signed_by: string;
  /** Signature in base64, over `vigil-config-key-v1`, zero, the key. */
  value: string;
}

/** A version of a site's configuration: who set it, when and why. */
export interface ConfigVersion {
  /** Counts up. */
  version: number;
  /** SHA-256 of its document in hex. */
  digest: string;
  /** When it was set. (ms since 1970, UTC) */
  set_ms: number;
  /** Who set it. */
  set_by: string;
  /** Why. */
  note: string;
  /** Id of the configuration key; null: not signed. */
  signed_by: string | null;
}

/** The versions of a site's configuration, newest first. */
export interface ConfigVersions {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  versions: ConfigVersion[];
}

/** What an installation costs a month by list prices: no bill, no discount, no tax. */
export interface CostEstimate {
  /** What it is computed of. */
  inputs: CostInputs;
  /** The installation as it is. */
  own: CostInputs;
  /** Of each of `inputs`. */
  sources: InputSource[];
  /** What a reader must know of the measured inputs. */
  notes: string[];
  /** All cameras. */
  cameras: number;
  /** All of it. (USD a month) */
  usd: number;
  /** All of it for the installation as it is. (USD a month) */
  own_usd: number;
  /** What runs without any site. (USD a month) */
  fixed_usd: number;
  /** What follows from sites and cameras. (USD a month) */
  variable_usd: number;
  /** One more site, without its cameras. (USD a month) */
  per_site_usd: number;
  /** One more camera. (USD a month) */
  per_camera_usd: number;
  /** The dearest first. */
  services: ServiceCost[];
  purposes: PurposeCost[];
  /** What Vigil adds, of all. */
  added_share: number;
  /** Kinesis Video Streams for the same footage, without transport and sites. (USD a month) */
  kinesis_video_usd: number;
  /** This installation without transport and sites. (USD a month) */
  comparable_usd: number;
  lines: CostLine[];
  /** Those that save most first. */
  levers: CostLever[];
  /** A usual rate of a camera's sub stream. */
  sub_stream_mbit_s: number;
  /** The day on which the prices were written down. */
  prices_written: string;
  /** How far they can be trusted. */
  prices_note: string;
  /** Regions with prices. */
  regions: ("us-east-1" | "us-west-2" | "eu-west-1" | "eu-central-1")[];
}

/** What a bill is computed of. */
export interface CostInputs {
  /** How many sites. */
  sites: number;
  /** Cameras of a site on average. */
  cameras_per_site: number;
  /** 10^6 bits a second of one camera, while it records. */
  mbit_s: number;
  /** How long footage is kept, days. */
  retention_days: number;
  /** Share of the time that is uploaded. */
  uploaded_share: number;
  /** How footage reaches S3. */
  uplink: "vpn" | "internet";
  /** Length of a fragment, s. */
  fragment_s: number;
  /** How often a camera's recording starts again. */
  runs_per_day: number;
  /** Batches of detections of a camera. */
  detections_per_hour: number;
  /** Hours of a camera that are watched in a month. */
  watched_hours: number;
  /** S3's class for older footage. */
  cold_class: "standard" | "standard-ia" | "glacier-instant";
  /** From this age on footage is in `cold_class`. */
  cold_after_days: number;
  /** Sizes of databases and brokers. */
  environment: "production" | "dev";
  /** Whose prices. */
  region: "us-east-1" | "us-west-2" | "eu-west-1" | "eu-central-1";
}

/** A change of one thing, and what it saves. Levers do not add up. */
export interface CostLever {
  /** What is changed. */
  name: string;
  /** From what to what. */
  change: string;
  /** What else it does. */
  effect: string;
  /** Settings alone do it. false: Vigil has to be changed. */
  available: boolean;
  /** Less than 0: it costs more. (USD a month) */
  saves_usd: number;
  /** Of all. */
  saves_share: number;
}

/** A line of the bill. */
export interface CostLine {
  /** The service of AWS. */
  service: string;
  /** What is paid. */
  what: string;
  /** What it follows from. `installation`: it is fixed. */
  scale: "installation" | "site" | "camera";
  /** What it is for. */
  purpose: "storage" | "network" | "site" | "added";
  /** How much of the unit. */
  amount: number;
  /** Of the amount. */
  unit: string;
  /** Amount times price. (USD a month) */
  usd: number;
}

/** A code that was made just now. */
export interface CreatedEnrolmentCode {
  /** Its number, in the audit log. */
  id: number;
  /** The code itself, for `vigil edge enrol`. It is shown once, and stored nowhere. */
  code: string;
  /** tenant/site */
  site: string;
  /** tenant/site/device; null: of a new device. */
  device: string | null;
  /** When it expires. (ms since 1970, UTC) */
  expires_ms: number;
}

/** A key that was created just now. */
export interface CreatedKey {
  /** Its number. */
  id: number;
  /** Name of its owner. */
  name: string;
  /** Its first characters. */
  hint: string;
  /** Whether it is accepted. */
  state: "valid" | "expired" | "revoked";
  /** What it may do, and where: role:scope. */
  grants: string[];
  /** The site of a device's key; null: no device's. */
  edge_of: string | null;
  /** Only clients of these networks may use it; null: any. */
  networks: string[] | null;
  /** When it was created. (ms since 1970, UTC) */
  created_ms: number;
  /** Who created it, such as `user:3` or `key:1`; null: a command on the server. */
  created_by: string | null;
  /** When it expires; null: it does not. (ms since 1970, UTC) */
  expires_ms: number | null;
  /** When it was revoked; null: it was not. (ms since 1970, UTC) */
  revoked_ms: number | null;
  /** Its last use, to the minute; null: none. (ms since 1970, UTC) */
  used_ms: number | null;
  /** Number of the key that it replaces. */
  rotated_from: number | null;
  /** The person whose key it is, such as `user:3`: it may do no more than he, and stops where he is disabled, erased, or refused by his provider. null: a service's or a device's. */
  owner: string | null;
  /** The key itself. It is shown once, and stored nowhere. */
  key: string;
}

/** A user that was created just now. */
export interface CreatedUser {
  /** 16 hex digits. The principal is `user:ID`. */
  id: string;
  /** null: he signs in by OpenID Connect only. */
  login: string | null;
  /** As lists show it. */
  display_name: string;
  /** Who has `users:manage` on this scope manages him. */
  scope: string;
  /** `local`, or `oidc`. */
  source: string;
  /** Issuer of his OpenID provider; null: he is local. */
  iss: string | null;
  /** Since when he may not sign in; null: he may. (ms since 1970, UTC) */
  disabled_ms: number | null;
  /** When he was created. (ms since 1970, UTC) */
  created_ms: number;
  /** Last change. (ms since 1970, UTC) */
  updated_ms: number;
  /** Whether he has a password. */
  has_password: boolean;
  /** Whether he has a second factor. */
  has_totp: boolean;
  /** His own: `role:scope`. */
  grants: string[];
  /** Ids of his groups. */
  groups: string[];
  /** What he has by his groups only. */
  group_grants: string[];
  /** It is shown once, and stored nowhere. He changes it. */
  password: string;
}

/** The rollout that devices follow, for those who may not see all of it. */
export interface CurrentRollout {
  /** Its number. */
  id: number;
  /** Version of its release. */
  version: string;
  /** As in `/api/v1/rollouts`. */
  state: "running" | "paused" | "halted" | "rolling-back" | "finished" | "rolled-back" | "stopped";
  /** The newest ring that is open. */
  ring: "lab" | "canary" | "early" | "rest";
}

/** How much footage of a day is kept. */
export interface DayBytes {
  /** Start of the day (UTC). (ms since 1970, UTC) */
  day_ms: number;
  /** All chunks of the day that are kept. (bytes) */
  size_bytes: number;
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
  /** The model's version. */
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
  /** What was detected. */
  label: string;
  /** The most objects in one frame. */
  count: number;
}

/** `detection`: at most 200 objects of one run and model, each sent once. */
export interface DetectionEvent {
  /** tenant/site/camera */
  camera: string;
  /** The run: a UUIDv7. */
  run: string;
  /** The model that detected them. */
  model: string;
  /** The model's version. */
  model_version: string;
  detections: StreamedObject[];
}

/** A page of detections, by time. */
export interface Detections {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  detections: Detection[];
}

/** A device that was enrolled. */
export interface Device {
  /** tenant/site/device */
  device: string;
  /** tenant/site */
  site: string;
  /** `locked`: two devices hold its identity. `revoked`: by an operator. Nothing that a locked or revoked device sends is accepted; it goes on recording. */
  state: "enrolled" | "locked" | "revoked";
  /** Why it is locked, in words; null: it is not. */
  detail: string | null;
  /** Of its newest certificate; each renewal adds one. */
  generation: number;
  /** When its key was enrolled. (ms since 1970, UTC) */
  enrolled_ms: number;
  /** When its newest certificate was issued. (ms since 1970, UTC) */
  renewed_ms: number;
  /** When that certificate expires. The device renews it at half of its life, and until 30 days after its end. (ms since 1970, UTC) */
  expires_ms: number;
  /** When it was locked; null: it is not. (ms since 1970, UTC) */
  locked_ms: number | null;
  /** When it was revoked; null: it is not. (ms since 1970, UTC) */
  revoked_ms: number | null;
}

/** A camera as its device sees it. */
export interface DeviceCamera {
  /** tenant/site/camera; null: not reported. */
  camera: string | null;
  /** State of its capture. */
  state: string | null;
  /** Text of the last error. */
  detail: string | null;
}

/** A revocation or an unlock. */
export interface DeviceChange {
  /** Why, such as the number of a case: one line of text. */
  why: string;
}

/** `device`: all devices at the beginning, later those whose state changed. */
export interface DeviceEvent {
  /** Time of the event. (ms since 1970, UTC) */
  now_ms: number;
  devices: StreamedDevice[];
}

/** A page of devices, by name. */
export interface Devices {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  devices: Device[];
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
  /** Whether its clock agrees with the cloud's; null: not reported. */
  clock_trust: "agreed" | "wrong" | "unconfirmed" | null;
  /** State of its identity; null: it is not enrolled, or it reports none. */
  identity_state: "enrolled" | "locked" | "revoked" | "expired" | "damaged" | null;
  /** Generation of its certificate. */
  identity_generation: number | null;
  /** From when on its certificate is to be renewed. (ms since 1970, UTC) */
  identity_renew_ms: number | null;
  /** When its certificate expires. (ms since 1970, UTC) */
  identity_expires_ms: number | null;
  /** Since when it takes commands, by its link; null: it is not connected now. (ms since 1970, UTC) */
  link_since_ms: number | null;
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
  /** Why the stream ends. */
  reason: "restart" | "signed-out" | "not-allowed" | "rights-changed" | "unchecked";
}

/** An alert that fires now. */
export interface FiringAlert {
  /** Its name; the runbook has a section for it. */
  name: string;
  /** page: now. ticket: in working hours. */
  severity: string;
  /** How many of it fire. */
  count: number;
}

/** One device: what it runs, and its update in the current rollout. */
export interface Fleet {
  /** tenant/site/device */
  device: string;
  /** tenant/site */
  site: string;
  /** In the current rollout, else of the site's file. */
  ring: "lab" | "canary" | "early" | "rest";
  /** Such as x86-64; null: it has no update agent, as the next four. */
  hardware: string | null;
  /** That it runs; null: by none that is known. */
  release: number | null;
  /** Of that release. */
  version: string | null;
  /** Digest of its recorder's image; null: not known. */
  image: string | null;
  /** Version of its system. */
  system: string | null;
  /** Version of its recorder, by its heartbeat. */
  software: string | null;
  /** Of its update: `waiting` for its window or a lock, `returned`: the old version runs again, `refused`: nothing was changed. Null: it is not in the rollout. */
  state: "pending" | "waiting" | "downloading" | "installing" | "checking" | "succeeded" | "returned" | "failed" | "refused" | null;
  /** In words: what it waits for, or what is wrong. */
  reason: string | null;
  /** Why it does not run the release of the current rollout; null: it does. */
  behind: string | null;
  /** What a halt rule sees in it after its update; null: nothing. */
  fault: string | null;
  /** Since when it is in that state. (ms since 1970, UTC) */
  changed_ms: number | null;
  /** Maintenance window of its site, in words; null: always. */
  window: string | null;
  /** Why its site's updates are locked; null: they are not. */
  lock: string | null;
  /** Cameras in its heartbeat; null: it sent none. */
  cameras: number | null;
  /** How many of them record. */
  recording: number | null;
  /** Fragments not yet uploaded. */
  spool_waiting: number | null;
  /** Newest report of its update agent. (ms since 1970, UTC) */
  reported_ms: number | null;
  /** Newest heartbeat of its recorder. (ms since 1970, UTC) */
  heartbeat_ms: number | null;
}

/** A page of the fleet, by device. */
export interface FleetDevices {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  /** The active rollout, else the newest one that finished; null: there was none. */
  rollout: CurrentRollout | null;
  devices: Fleet[];
}

/** An amount of footage. */
export interface FootageAmount {
  /** Chunks. */
  chunks: number;
  /** Fragments that are in no chunk. */
  fragments: number;
  /** Their size. (bytes) */
  size_bytes: number;
}

/** `footage`: cameras that have newer footage, every few seconds. */
export interface FootageEvent {
  /** Time of the event. (ms since 1970, UTC) */
  now_ms: number;
  cameras: NewestFootage[];
}

/** One object in one picture; its index in the list is the detection's index. */
export interface FoundObject {
  /** what it is, in the model's words */
  label: string;
  /** confidence of the model, 1 is certain */
  score: number;
  /** x, y, width, height as fractions of the picture, from its top left */
  box: [number, number, number, number];
  /** links detections of one object */
  track?: string | null;
}

/** A fragment that is in no chunk yet. */
export interface FragmentLink {
  /** The run: a UUIDv7. */
  run: string;
  /** Its place in the run, from 0. */
  seq: number;
  /** Start of its footage. (ms since 1970, UTC) */
  start_ms: number;
  /** End of its footage. (ms since 1970, UTC) */
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

/** A group of users with the same grants. */
export interface Group {
  /** 16 hex digits. */
  id: string;
  /** As lists show it; one of its kind in the scope. */
  name: string;
  /** Who has `users:manage` on this scope manages it. */
  scope: string;
  /** When it was created. (ms since 1970, UTC) */
  created_ms: number;
  /** What its members have: `role:scope`. */
  grants: string[];
  /** Ids of users. */
  members: string[];
}

/** What to change; what is missing stays. */
export interface GroupChange {
  /** The new name. */
  name?: string | null;
  /** All its grants. */
  grants?: string[] | null;
  /** Ids of all users in it. Members by OpenID Connect stay. */
  members?: string[] | null;
}

/** A page of groups. */
export interface Groups {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  /** The groups, by id. */
  groups: Group[];
}

/** `heartbeat`: nothing happened for 15 s. */
export interface HeartbeatEvent {
  /** Time of the event. (ms since 1970, UTC) */
  now_ms: number;
}

/** A legal hold: while it is in force, nothing that it covers is deleted. */
export interface Hold {
  /** Its number. */
  id: number;
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** Start of the footage that it covers. (ms since 1970, UTC) */
  from_ms: number;
  /** End of that footage (not included); null: no end. (ms since 1970, UTC) */
  to_ms: number | null;
  /** Who placed it. */
  placed_by: string;
  /** When it was placed. (ms since 1970, UTC) */
  placed_ms: number;
  /** Why it was placed. */
  why: string;
  /** Who lifted it; null while it is in force. */
  lifted_by: string | null;
  /** When it was lifted; null while it is in force. (ms since 1970, UTC) */
  lifted_ms: number | null;
  /** Why it was lifted, where that is known. */
  lifted_why: string | null;
}

/** Why a hold is lifted. */
export interface HoldRelease {
  /** Why, such as the number of a case: one line of text. */
  why: string;
}

/** A page of holds, the newest first. */
export interface Holds {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  holds: Hold[];
}

/** Where an input is from. */
export interface InputSource {
  /** Which input. */
  name: "sites" | "cameras_per_site" | "mbit_s" | "retention_days" | "uploaded_share" | "uplink" | "fragment_s" | "runs_per_day" | "detections_per_hour" | "watched_hours" | "cold_class" | "cold_after_days" | "environment" | "region";
  /** `measured`: by the catalog. `setting`: a rule or setting of the installation. `assumed`: nothing here knows it. `given`: by the query. */
  source: "measured" | "setting" | "assumed" | "given";
}

/** An API key, without the key itself. */
export interface Key {
  /** Its number. */
  id: number;
  /** Name of its owner. */
  name: string;
  /** Its first characters. */
  hint: string;
  /** Whether it is accepted. */
  state: "valid" | "expired" | "revoked";
  /** What it may do, and where: role:scope. */
  grants: string[];
  /** The site of a device's key; null: no device's. */
  edge_of: string | null;
  /** Only clients of these networks may use it; null: any. */
  networks: string[] | null;
  /** When it was created. (ms since 1970, UTC) */
  created_ms: number;
  /** Who created it, such as `user:3` or `key:1`; null: a command on the server. */
  created_by: string | null;
  /** When it expires; null: it does not. (ms since 1970, UTC) */
  expires_ms: number | null;
  /** When it was revoked; null: it was not. (ms since 1970, UTC) */
  revoked_ms: number | null;
  /** Its last use, to the minute; null: none. (ms since 1970, UTC) */
  used_ms: number | null;
  /** Number of the key that it replaces. */
  rotated_from: number | null;
  /** The person whose key it is, such as `user:3`: it may do no more than he, and stops where he is disabled, erased, or refused by his provider. null: a service's or a device's. */
  owner: string | null;
}

/** How a key is replaced by a new one with the same name, grants and networks. */
export interface KeyRotation {
  /** When the old key expires, UTC ms, within 31 days. Both are valid until then. */
  old_expires_ms: number;
  /** When the new key expires, UTC ms. null: it lives as long as the old one did. */
  expires_ms?: number | null;
}

/** A page of keys, the newest first. */
export interface Keys {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  keys: Key[];
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

/** What was found in one picture. */
export interface LiveDetectionFrame {
  /** When the picture was taken, UTC ms. (ms since 1970, UTC) */
  at_ms: number;
  /** Empty: analysed, nothing found. */
  objects: FoundObject[];
}

/** What a model found in pictures that are shown now. */
export interface LiveDetections {
  /** Which message it is. */
  type: "detections";
  /** tenant/site/camera */
  camera: string;
  /** The model that detected them. */
  model: string;
  /** The model's version. */
  model_version: string;
  /** The pictures; late detections are left out. */
  frames: LiveDetectionFrame[];
}

/** The last message: why the picture ends. */
export interface LiveEndMessage {
  /** Which message it is. */
  type: "end";
  /** For programs, such as `device-offline`. */
  code: string;
  /** For people. */
  reason: string;
}

/** How the pictures that follow are encoded. */
export interface LiveFormat {
  /** Which message it is. */
  type: "format";
  /** For MediaSource (RFC 6381): video, and audio where there is some. */
  codecs: string;
  /** Of the pictures, in pixels. */
  width: number;
  /** Of the pictures, in pixels. */
  height: number;
  /** For people: that the main stream is shown, because the sub stream fails. */
  note: string;
}

/** The process runs. */
export interface Liveness {
  /** Always `up`: else there is no answer. */
  status: "up";
}

/** `lost`: detections between the event before and this one are not sent. */
export interface LostEvent {
  /** Why they are not sent. */
  reason: string;
}

/** A camera to register. Its site and tenant are created with it where they are missing. */
export interface NewCamera {
  /** tenant/site/camera */
  id: string;
  /** Shown to people: one line of text, in any language. It is never HTML. */
  name: string;
}

/** What a device is asked for. */
export interface NewCommand {
  /** snapshot: a JPEG of a camera now; diagnostics: a bundle without secrets; restart-inference: load the model again; clock-check and route-check: in words */
  kind: "snapshot" | "diagnostics" | "restart-inference" | "clock-check" | "route-check";
  /** tenant/site/camera of the device's site: for snapshot only */
  camera?: string | null;
}

/** A code to make. */
export interface NewEnrolmentCode {
  /** Name of a device of the site that is enrolled again, with a new key; null: the code enrols a new device. */
  device?: string | null;
  /** How long it works. */
  lifetime_ms?: number;
}

/** A group to create. */
export interface NewGroup {
  /** Shown to people: one line of text, in any language. It is never HTML. */
  name: string;
  /** `*`, tenant, tenant/site or tenant/site/camera: who has `users:manage` there manages it. */
  scope?: string;
  /** What its members have. */
  grants?: string[];
  /** Ids of users. */
  members?: string[];
}

/** A hold to place. */
export interface NewHold {
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** Start of the footage to keep, UTC ms. */
  from_ms: number;
  /** Its end (not included); null: no end. */
  to_ms?: number | null;
  /** Why, such as the number of a case: one line of text. */
  why: string;
}

/** A key to create. No one gives what he does not have. */
export interface NewKeyRequest {
  /** Name of the key's owner. */
  name: string;
  /** What it may do, and where. The key of a device has the one grant `edge:TENANT/SITE`. */
  grants: string[];
  /** When it expires, UTC ms, within 366 days; null: never. */
  expires_ms?: number | null;
  /** Only clients of these may use it, such as `10.1.0.0/16`; null: any. */
  networks?: string[] | null;
  /** true: for a program that goes on without the person who creates the key. false: a user's own key, which ends with him. Keys that a service's key creates, and keys of devices, are never a person's. */
  service?: boolean;
}

/** A password that was made just now. */
export interface NewPassword {
  /** It is shown once, and stored nowhere. He changes it. */
  password: string;
}

/** A rollout to start. */
export interface NewRollout {
  /** Number of the release. */
  release: number;
  /** Thresholds; null: the default ones. */
  lab?: RingRules | null;
  /** As `lab`. */
  canary?: RingRules | null;
  /** As `lab`. */
  early?: RingRules | null;
  /** As `lab`. */
  rest?: RingRules | null;
  /** Why, such as the number of a case: one line of text. */
  why: string;
}

/** A site to create. Its tenant is created with it where it is missing. */
export interface NewSite {
  /** tenant/site */
  id: string;
  /** Shown to people: one line of text, in any language. It is never HTML. */
  name: string;
  /** IANA time zone, such as `Europe/Berlin`. */
  zone?: string;
  /** What is done with events that no device signed. */
  unsigned?: "accept" | "warn" | "refuse";
}

/** A tenant to create. */
export interface NewTenant {
  /** Lower-case letters, digits and hyphens. */
  id: string;
  /** Shown to people: one line of text, in any language. It is never HTML. */
  name: string;
}

/** A user to create. His password is made, and shown once. */
export interface NewUser {
  /** Name for the sign-in: a-z, 0-9 and ._@+-. It is stored in lower case. */
  login: string;
  /** Shown to people: one line of text, in any language. It is never HTML. */
  display_name: string;
  /** `*`, tenant, tenant/site or tenant/site/camera: who has `users:manage` there manages it. */
  scope?: string;
  /** What he may do, and where. */
  grants?: string[];
}

/** How far the footage of a camera reaches. */
export interface NewestFootage {
  /** tenant/site/camera */
  id: string;
  /** End of its newest footage. (ms since 1970, UTC) */
  last_ms: number | null;
}

/** The person's own password. */
export interface PasswordChange {
  /** The one so far. */
  password: string;
  /** 12 to 128 characters; no common password. */
  new_password: string;
  /** A code, where there is a second factor. */
  totp?: string | null;
}

/** Shows that it is the person, and not a browser that was left open. */
export interface PasswordProof {
  /** The password. */
  password: string;
  /** A code, where there is a second factor. */
  totp?: string | null;
}

/** A hold that was placed just now. */
export interface PlacedHold {
  /** Its number. */
  id: number;
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** Start of the footage that it covers. (ms since 1970, UTC) */
  from_ms: number;
  /** End of that footage (not included); null: no end. (ms since 1970, UTC) */
  to_ms: number | null;
  /** Who placed it. */
  placed_by: string;
  /** When it was placed. (ms since 1970, UTC) */
  placed_ms: number;
  /** Why it was placed. */
  why: string;
  /** Who lifted it; null while it is in force. */
  lifted_by: string | null;
  /** When it was lifted; null while it is in force. (ms since 1970, UTC) */
  lifted_ms: number | null;
  /** Why it was lifted, where that is known. */
  lifted_why: string | null;
  /** Deletions in its range that were decided before. Their remaining objects are kept in S3, but they are in the catalog no more. */
  pending_deletions: number;
}

/** What the next pass of retention deletes if the change is confirmed. */
export interface PreviewAnswer {
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** The new rule; null: none of its own. */
  days: number | null;
  /** The rule in force; null: none of its own. */
  days_before: number | null;
  /** The time by which ages were measured. (ms since 1970, UTC) */
  at_ms: number;
  /** Until when it can be confirmed. (ms since 1970, UTC) */
  until_ms: number;
  /** Send it as `If-Match` to confirm exactly this. Where anything else would be deleted by then, the answer is 412. */
  etag: string;
  /** All that is old enough by the new rule. */
  deleted: FootageAmount;
  /** The part that the present rules delete too. */
  due: FootageAmount;
  /** Old enough too, but kept by legal holds. */
  held: FootageAmount;
  /** Number of cameras of which something is deleted. */
  cameras: number;
  /** The first 100 of them, by id. */
  camera_ids: string[];
  /** Start of the oldest deleted footage. (ms since 1970, UTC) */
  oldest_ms: number | null;
  /** End of the newest deleted footage. (ms since 1970, UTC) */
  newest_ms: number | null;
  /** Numbers of the holds that you may see and that cover a part of that time. */
  holds: number[];
}

/** A change of a rule to preview. */
export interface PreviewRequest {
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** The new rule; null: remove the scope's own rule, so that it follows a wider one or none. */
  days: number | null;
}

/** Why a request was not carried out (RFC 9457). Some kinds have more fields. */
export interface Problem {
  /** The kind: a path of this server with its text, or `about:blank` where the status says all. */
  type: string;
  /** The name of the kind. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** What is wrong, for people. */
  detail: string;
  /** Id of the request, also in `X-Request-Id`. Name it to who operates the server: its log and the audit log have it. Absent where the request cannot be read. */
  request_id?: string;
  /** The wrong fields of a body. */
  errors?: { pointer: string; detail: string; }[];
}

/** A program of the cloud, all its instances together. */
export interface ProgramStatus {
  /** The name of its job in Prometheus, without `vigil-`. */
  program: string;
  /** `down`: no instance answers. `degraded`: one is not ready, does not answer, or works two minutes late. `unknown`: Prometheus does not say. */
  state: "good" | "degraded" | "down" | "unknown";
  /** Instances that answer Prometheus. */
  running: number;
  /** Instances that Prometheus asks. */
  known: number;
  /** Instances that process events; null: the program has no such state. */
  ready: number | null;
  /** Versions that run; more than one in an upgrade. */
  versions: string[];
  /** How long the oldest message waits for it; null: it reads none. (s) */
  lag_s: number | null;
  /** Messages in Kafka that it has not committed yet; null: it reads none. */
  lag_messages: number | null;
  /** When one last answered; null: not in a day. (ms since 1970, UTC) */
  seen_ms: number | null;
}

/** What some lines are for. */
export interface PurposeCost {
  /** `added`: all that Vigil adds. */
  purpose: "storage" | "network" | "site" | "added";
  /** The same in words. */
  text: string;
  /** What it costs. (USD a month) */
  usd: number;
}

/** A queue of SQS, about, as the relay measures it each minute. */
export interface QueueStatus {
  /** `events`: from the sites. `dead-letter`: what could not be read. */
  queue: "events" | "dead-letter";
  /** Messages that wait; null: not known. */
  visible: number | null;
  /** Messages that a relay has; null: not known. */
  in_flight: number | null;
}

/** Whether the worker can answer requests. */
export interface Readiness {
  /** `ready` if all checks are true. */
  status: "ready" | "not ready";
  checks: ReadyChecks;
  /** What an operator must correct, though the worker answers: such as a new certificate that cannot be used. */
  warnings: string[];
}

/** What the worker needs. */
export interface ReadyChecks {
  /** Whether the worker has started. */
  stream: boolean;
  /** Whether the catalog answers. */
  catalog: boolean;
}

/** Codes for a lost phone. They are shown once; each works once. */
export interface RecoveryCodes {
  /** Each may be used once instead of a code. */
  recovery_codes: string[];
}

/** A release. A command signs and adds it: `vigil fleet release add`. */
export interface Release {
  /** Grows by one. */
  number: number;
  /** Such as 2.5.0. */
  version: string;
  /** It may follow this one and later ones. A device that runs it returns to none below. */
  oldest: number;
  /** Digest of the recorder's image, by hardware. */
  images: Record<string, string>;
  /** Version of the system, by hardware; none where the system stays as it is. */
  systems: Record<string, string>;
  /** Id of the release key. */
  signed_by: string;
  /** When it was added. (ms since 1970, UTC) */
  added_ms: number;
  /** Who added it. */
  added_by: string;
  /** What is new. */
  note: string;
  /** Since when no device is given it; null: it is not withdrawn. (ms since 1970, UTC) */
  withdrawn_ms: number | null;
  /** Why; null: it is not withdrawn. */
  withdrawn_why: string | null;
}

/** A page of releases, the newest first. */
export interface Releases {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  releases: Release[];
}

/** What one ring needs. */
export interface RingRules {
  /** of its devices that must have succeeded */
  success_percent: number;
  /** more devices with a fault halt the rollout */
  error_percent: number;
  /** how long that must last before the next ring opens */
  soak_ms: number;
}

/** A rollout of a release over the rings lab, canary, early (10 %) and rest. */
export interface Rollout {
  /** Its number. */
  id: number;
  /** Number of the release that devices get. */
  release: number;
  /** Version of that release. */
  version: string;
  /** `halted`: by a rule, which `reason` names. At most one rollout is `running`, `paused`, `halted` or `rolling-back`. */
  state: "running" | "paused" | "halted" | "rolling-back" | "finished" | "rolled-back" | "stopped";
  /** The newest ring that is open. */
  ring: "lab" | "canary" | "early" | "rest";
  /** Why it is in this state, or how far its ring is, in words. */
  reason: string;
  /** Of who started it. */
  note: string;
  /** Since when the ring has what it needs; null: it has not. (ms since 1970, UTC) */
  soak_since_ms: number | null;
  /** Thresholds of each ring. */
  rules: RolloutRules;
  /** When it was started. (ms since 1970, UTC) */
  started_ms: number;
  /** Who started it. */
  started_by: string;
  /** Since when it is in its state. (ms since 1970, UTC) */
  changed_ms: number;
  /** When its newest ring opened. (ms since 1970, UTC) */
  ring_ms: number;
  /** When it ended; null: it has not. (ms since 1970, UTC) */
  ended_ms: number | null;
}

/** A pause, a resume, a rollback or an end. */
export interface RolloutChange {
  /** Why, such as the number of a case: one line of text. */
  why: string;
}

/** When rings open, and what halts a rollout. */
export interface RolloutRules {
  lab?: RingRules;
  canary?: RingRules;
  early?: RingRules;
  rest?: RingRules;
  /** share of the devices in `early` */
  early_percent?: number;
  /** a device that says nothing for so long after its update is a fault */
  silent_ms?: number;
  /** an install or its health check that takes longer is a fault */
  stuck_ms?: number;
  /** after an update, before cameras and spool are compared */
  settle_ms?: number;
  /** a spool that grows, and whose oldest fragment is older, is a fault */
  backlog_ms?: number;
  /** how long after its update a device is watched */
  watch_ms?: number;
  /** a device that was silent for so long before is not waited for */
  absent_ms?: number;
}

/** A page of rollouts, the newest first. */
export interface Rollouts {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  rollouts: Rollout[];
}

/** How long footage of a scope is kept. The most specific rule counts. */
export interface Rule {
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** Age in days of 24 h from which on footage is deleted. */
  days: number;
  /** Who set it. */
  set_by: string;
  /** When it was set. (ms since 1970, UTC) */
  set_ms: number;
}

/** A rule to set. */
export interface RuleChange {
  /** Age in days of 24 h from which on footage is deleted. */
  days: number;
}

/** A page of rules, by scope. */
export interface Rules {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  rules: Rule[];
}

/** The unbroken recording of one capture session. */
export interface Run {
  /** The run: a UUIDv7. */
  run: string;
  /** Time of its first picture. (ms since 1970, UTC) */
  started_ms: number;
  /** End of its last fragment; null: it records, or its end is not known. (ms since 1970, UTC) */
  ended_ms: number | null;
  /** Why it ended; null while `ended_ms` is. */
  reason: string | null;
  /** Number of its last fragment, -1: it has none; null while `ended_ms` is. */
  last_seq: number | null;
  /** Fragments that the device deleted before they were uploaded: its disk was full. */
  given_up: number;
  /** The device that recorded it, where that is known. */
  edge: string | null;
  /** `main` or `sub`, where that is known. */
  stream: string | null;
}

/** A page of runs, by start. */
export interface Runs {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  runs: Run[];
}

/** What the caller may do below a scope. */
export interface ScopePermissions {
  /** `*`, tenant, tenant/site or tenant/site/camera. */
  scope: string;
  /** Such as `footage:read`. */
  permissions: string[];
}

/** The rule of a scope, and the one that it follows. */
export interface ScopeRule {
  /** tenant, tenant/site or tenant/site/camera */
  scope: string;
  /** Its own rule; null: it has none. */
  days: number | null;
  /** The scope whose rule it follows: its own, or a wider one; null: none. */
  followed_scope: string | null;
  /** The days of that rule; null: footage is kept forever. */
  followed_days: number | null;
}

/** A scope in which people need a second factor whose roles change or export something. */
export interface SecondFactor {
  /** `*` or a tenant. */
  scope: string;
  /** Who required it; empty where you do not manage the scope. */
  set_by: string;
  /** When it was required. (ms since 1970, UTC) */
  set_ms: number;
}

/** A page of the rules that concern what the caller manages, by scope. */
export interface SecondFactorRules {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  rules: SecondFactor[];
}

/** A service of AWS. */
export interface ServiceCost {
  /** Its name. */
  service: string;
  /** All of it. (USD a month) */
  usd: number;
  /** Without any site. (USD a month) */
  fixed_usd: number;
  /** What follows from the sites. (USD a month) */
  sites_usd: number;
  /** What follows from the cameras. (USD a month) */
  cameras_usd: number;
}

/** A promise, and whether it holds. Of one for each site, the worst site counts. */
export interface ServiceLevel {
  /** Its name in ops/slo/vigil.yaml. */
  name: string;
  /** What is promised. */
  title: string;
  /** The share that has to be good. */
  objective: number;
  /** The share that was good in the last 30 days. */
  reached: number | null;
  /** What is left of the error budget: 1 is all, 0 none, below 0 it is used up. */
  budget: number | null;
  /** The worst site; null: it is not for each site. */
  site: string | null;
}

/** An open session. */
export interface Session {
  /** It opens nothing. */
  id: string;
  /** Id of the user; null: an API key signed in. */
  user: string | null;
  /** Number of the API key; null: a user signed in. */
  key: number | null;
  /** Whether this request uses it. */
  current: boolean;
  /** The sign-in. (ms since 1970, UTC) */
  created_ms: number;
  /** The last request, to the minute. (ms since 1970, UTC) */
  seen_ms: number;
  /** When it ends even if it is in use. (ms since 1970, UTC) */
  until_ms: number;
  /** Of the browser at the sign-in. */
  address: string;
  /** `User-Agent` of the browser at the sign-in. */
  agent: string;
}

/** Who is signed in, and what he may do. */
export interface SessionInfo {
  /** The principal: `user:ID` or `key:NUMBER`. */
  id: string;
  /** Name of the key or the user. */
  name: string;
  /** Of a user with a password; null: none. */
  login: string | null;
  /** What it may do where: `role:scope`. */
  grants: string[];
  /** The permissions of the grants, by scope. */
  may: ScopePermissions[];
  /** Id of the session; null: the key came directly. */
  session: string | null;
  /** Whether it is a user who can change his password. */
  has_password: boolean;
  /** Whether it is a user with a second factor. */
  has_totp: boolean;
  /** Whether his roles need a second factor, and he has none. Then all else answers 403 of the kind `second-factor-required`. */
  must_enrol: boolean;
  /** How many are left; null: there is no second factor. */
  recovery_codes: number | null;
}

/** Open sessions, the newest first; at most 1,000. */
export interface SessionList {
  sessions: Session[];
}

/** An OpenID provider by which people can sign in. */
export interface SignInProvider {
  /** Its id in the configuration. */
  id: string;
  /** Text of its button. */
  name: string;
  /** Where a browser begins the sign-in. `?next=/PATH` names the page to show then. */
  path: string;
}

/** The providers, in the order of the configuration. */
export interface SignInProviders {
  /** Empty where none is configured. */
  providers: SignInProvider[];
}

/** Either `login` and `password`, and `totp` where the user has a second factor; or `key`. */
export interface SignInRequest {
  /** Login of a user. */
  login?: string | null;
  /** His password. */
  password?: string | null;
  /** Code of his authenticator app, or a recovery code. Where it is missing, the answer is 401 of the kind `code-required`. */
  totp?: string | null;
  /** An API key, instead of a login. */
  key?: string | null;
}

/** A site's newest configuration as it was signed. `document` has the disabled cameras, too. */
export interface SignedSiteConfig {
  /** Counts up. */
  version: number;
  /** SHA-256 of `document` in hex. */
  digest: string;
  /** Canonical JSON as a string, at most 1 MiB. */
  document: string;
  /** null: it was not signed. */
  signature: SiteConfigSignature | null;
  /** Cameras of `document` that the device leaves out. Not part of what is signed. */
  disabled: string[];
  /** Rotations of the configuration key, the oldest first. */
  successors: ConfigKeySuccessor[];
}

/** The premises of a tenant. */
export interface Site {
  /** tenant/site */
  id: string;
  /** First part of the id. */
  tenant: string;
  /** Second part of the id. */
  site: string;
  /** Shown to people. */
  name: string;
  /** IANA time zone in which its times are shown; `UTC` where no one set one. */
  zone: string;
  /** What is done with events that no device signed: `accept`, `warn` (accept, count and log) or `refuse` (to the dead letters). */
  unsigned: "accept" | "warn" | "refuse";
  /** When it was created. (ms since 1970, UTC) */
  created_ms: number;
}

/** How much footage of a site is kept. */
export interface SiteBytes {
  /** tenant/site */
  site: string;
  /** Cameras with footage. */
  cameras: number;
  /** All chunks. (bytes) */
  size_bytes: number;
  /** A day: the average of the last 7 whole days (UTC). (bytes) */
  added_bytes: number;
  /** The oldest day (UTC) with footage. (ms since 1970, UTC) */
  oldest_ms: number;
}

/** What changes of a site. What is absent stays as it is. */
export interface SiteChange {
  /** The new name. */
  name?: string | null;
  /** The new IANA time zone. */
  zone?: string | null;
  /** What is done with events that no device signed, from now on. */
  unsigned?: "accept" | "warn" | "refuse" | null;
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

/** Who signed a configuration, and from when it holds. */
export interface SiteConfigSignature {
  /** Id of the configuration key. */
  key: string;
  /** UTC. A device waits until then. */
  not_before_ms: number;
  /** Ed25519 in base64, over `vigil-config-v1`, site, version, `not_before_ms` and `document`, each but the last with a zero byte after it. */
  value: string;
}

/** A site, by what the catalog expects of it. */
export interface SiteStatus {
  /** tenant/site */
  site: string;
  /** Cameras in use that have footage. */
  cameras: number;
  /** Of these: with footage of the last minute. */
  cameras_sending: number;
  /** Edge devices. */
  edges: number;
  /** Of these: with a heartbeat in three minutes. */
  edges_online: number;
  /** What it does with events that no device signed. */
  unsigned: "accept" | "warn" | "refuse";
}

/** A page of sites, by id. */
export interface Sites {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  sites: Site[];
}

/** The state of the installation. */
export interface Status {
  /** When it was read. (ms since 1970, UTC) */
  at_ms: number;
  /** Version of the worker that answers. */
  version: string;
  /** Whether Prometheus answers. `not-set`: VIGIL_PROMETHEUS_URL is empty; then programs, service levels and alerts are unknown. */
  metrics: "good" | "not-set" | "down";
  programs: ProgramStatus[];
  stores: StoreStatus[];
  /** How many sites there are. */
  site_count: number;
  /** Sites that need attention, those with most missing first: a camera does not send, a device is offline, or unsigned events are not refused. */
  sites: SiteStatus[];
  queues: QueueStatus[];
  /** null: the catalog does not answer. */
  storage: StorageStatus | null;
  backups: BackupStatus;
  service_levels: ServiceLevel[];
  /** Those that page first. */
  alerts: FiringAlert[];
  /** When heads of the audit log were last signed; null: unknown, or never. (ms since 1970, UTC) */
  audit_signed_ms: number | null;
}

/** How much footage is kept, by the catalog. Fragments without a chunk are not in it. */
export interface StorageStatus {
  /** All chunks. (bytes) */
  size_bytes: number;
  /** A day: the average of the last 7 whole days (UTC). (bytes) */
  added_bytes: number;
  /** A day, for age, by Prometheus: the average of 7 days; null: not known. (bytes) */
  deleted_bytes: number | null;
  /** Sites with footage. */
  site_count: number;
  /** The largest first. */
  sites: SiteBytes[];
  /** The last 31 days and today, with footage. */
  days: DayBytes[];
}

/** A service that the programs use. */
export interface StoreStatus {
  /** Which one. */
  store: "postgresql" | "kafka" | "s3" | "sqs";
  /** `down`: it does not answer this worker. `degraded`: more than 1 in 20 calls fail. `unknown`: no program has asked it in the last 5 minutes. */
  state: "good" | "degraded" | "down" | "unknown";
  /** Calls of all programs a second. */
  calls_per_s: number | null;
  /** Share of the calls that fail. */
  failed: number | null;
  /** 95 % of its calls are answered within this time. (s) */
  p95_s: number | null;
}

/** The state of a camera. */
export interface StreamedCamera {
  /** tenant/site/camera */
  id: string;
  /** As of a camera; `removed`: not registered any more. */
  state: "new" | "recording" | "late" | "offline" | "removed";
  /** Since when it is in this state. (ms since 1970, UTC) */
  since_ms: number;
  /** End of its newest footage. (ms since 1970, UTC) */
  last_ms: number | null;
  /** When it was taken out of use; null while it is in use. (ms since 1970, UTC) */
  retired_ms: number | null;
  /** Whether two devices record it at once. */
  two_recorders: boolean;
}

/** The state of an edge device. */
export interface StreamedDevice {
  /** tenant/site */
  site: string;
  /** The device's name. */
  edge: string;
  /** `silent`: no heartbeat for `edge_silent_ms`; `removed`: not known any more. */
  state: "ok" | "silent" | "removed";
  /** When its newest heartbeat arrived. (ms since 1970, UTC) */
  heard_ms: number;
  /** Version of its software. */
  software: string;
  /** Fragments not yet uploaded. */
  spool_waiting: number;
  /** Free on the disk of the fragments, bytes. */
  disk_free_bytes: number;
  /** Whether that disk is nearly full. */
  disk_low: boolean;
  /** Version of the site's configuration in use; null: the device's own file. */
  config_version: number | null;
  /** State of the site's configuration. */
  config_state: string | null;
  /** Why, in words. */
  config_detail: string | null;
  /** Whether its clock is synchronised; null: not reported. */
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
  /** What it is, such as `person`. */
  label: string;
  /** How sure the model is, 0 to 1. */
  score: number;
  /** [x, y, width, height] in fractions of the frame, from its top left. */
  box: [number, number, number, number];
  /** Objects with the same track are one object in successive frames. */
  track: string | null;
}

/** A customer. */
export interface Tenant {
  /** The tenant, as in ids of its cameras. */
  id: string;
  /** Shown to people. */
  name: string;
  /** When it was created. (ms since 1970, UTC) */
  created_ms: number;
}

/** What changes of a tenant. */
export interface TenantChange {
  /** Shown to people: one line of text, in any language. It is never HTML. */
  name: string;
}

/** A page of tenants, by id. */
export interface Tenants {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  tenants: Tenant[];
}

/** Recorded time, gaps, and counts of detections. */
export interface Timeline {
  /** Start of the range. (ms since 1970, UTC) */
  from_ms: number;
  /** End of the range (not included). (ms since 1970, UTC) */
  to_ms: number;
  /** Length of a bucket. Above a minute it is whole minutes; ranges above 6 hours have none below a minute. (ms) */
  bucket_ms: number;
  /** Recorded time as [from, to). Holes below 150 ms are closed. */
  covered: [number, number][];
  /** From the camera's first footage on. At the live edge, missing time becomes a gap after `late_ms`, or after `recording_ms` where the run has ended. */
  gaps: Gap[];
  detections: DetectionCount[];
}

/** A first code of the authenticator app. */
export interface TotpConfirmation {
  /** The code that the app shows. */
  totp: string;
}

/** The secret for the authenticator app. It is shown once. */
export interface TotpEnrolment {
  /** Base 32, to type in. */
  secret: string;
  /** `otpauth:` address, for a QR code. */
  uri: string;
}

/** A lock of a site's updates. */
export interface UpdateLock {
  /** Why nothing is installed; null: the lock ends. */
  why: string | null;
}

/** The lock of a site's updates. */
export interface UpdateLockAnswer {
  /** tenant/site */
  site: string;
  /** Why nothing is installed; null: it is not locked. */
  lock: string | null;
}

/** A user. Grants and groups that the caller does not manage are left out. */
export interface User {
  /** 16 hex digits. The principal is `user:ID`. */
  id: string;
  /** null: he signs in by OpenID Connect only. */
  login: string | null;
  /** As lists show it. */
  display_name: string;
  /** Who has `users:manage` on this scope manages him. */
  scope: string;
  /** `local`, or `oidc`. */
  source: string;
  /** Issuer of his OpenID provider; null: he is local. */
  iss: string | null;
  /** Since when he may not sign in; null: he may. (ms since 1970, UTC) */
  disabled_ms: number | null;
  /** When he was created. (ms since 1970, UTC) */
  created_ms: number;
  /** Last change. (ms since 1970, UTC) */
  updated_ms: number;
  /** Whether he has a password. */
  has_password: boolean;
  /** Whether he has a second factor. */
  has_totp: boolean;
  /** His own: `role:scope`. */
  grants: string[];
  /** Ids of his groups. */
  groups: string[];
  /** What he has by his groups only. */
  group_grants: string[];
}

/** What to change; what is missing stays. */
export interface UserChange {
  /** The new name. */
  display_name?: string | null;
  /** Whether he may not sign in. */
  disabled?: boolean | null;
  /** All his own grants that you manage. Others stay as they are. */
  grants?: string[] | null;
}

/** A page of users. */
export interface Users {
  /** `cursor` of the next page; null: this is the last one. */
  next: string | null;
  /** The users, by id. */
  users: User[];
}
