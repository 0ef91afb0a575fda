/** The API's responses. Times are integer milliseconds of UTC wall time. */

export type CameraState = "recording" | "late" | "offline" | "new";

export interface LabelCount {
  label: string;
  count: number;
}

export interface Camera {
  /** tenant/site/camera */
  id: string;
  tenant: string;
  site: string;
  camera: string;
  name: string;
  state: CameraState;
  /** Since when the camera is in this state. */
  since_ms: number | null;
  /** End of the newest footage. */
  last_ms: number | null;
  first_ms: number | null;
  width: number | null;
  height: number | null;
  labels_recent: LabelCount[];
}

/** From which age (ms) or size (bytes) on something is late, silent or nearly full. */
export interface StateLimits {
  recording_ms: number;
  late_ms: number;
  edge_silent_ms: number;
  disk_low_bytes: number;
}

export interface Cameras {
  now_ms: number;
  limits: StateLimits;
  cameras: Camera[];
}

export interface Gap {
  from_ms: number;
  to_ms: number;
  reason: string;
}

/** The most objects of a label in one frame, in the bucket that starts at `at_ms`. */
export interface DetectionCount {
  at_ms: number;
  label: string;
  count: number;
}

export interface TimelineAnswer {
  from_ms: number;
  to_ms: number;
  bucket_ms: number;
  covered: [number, number][];
  gaps: Gap[];
  detections: DetectionCount[];
}

/** Left, top, width and height, as fractions of the frame. */
export type Box = [number, number, number, number];

export interface Detection {
  at_ms: number;
  label: string;
  score: number;
  box: Box;
  track: string | number | null;
}

export interface DetectionPage {
  detections: Detection[];
  next: string | null;
}

/** A camera as its edge device sees it. */
export interface CameraStatus {
  /** tenant/site/camera */
  camera: string;
  state: "recording" | "connecting" | "failing" | "stopped";
  since_ms: number;
  detail: string;
}

/** The newest report of an edge device. */
export interface Edge {
  /** tenant/site */
  site: string;
  edge: string;
  heard_ms: number;
  software: string;
  spool_bytes: number;
  spool_waiting: number;
  spool_oldest_ms: number | null;
  disk_free_bytes: number;
  cameras: CameraStatus[];
  config_version: number | null;
  config_state: "current" | "trying" | "refused" | "out-of-reach" | "none" | null;
  config_detail: string | null;
  clock_state: "synchronised" | "unsynchronised" | "unknown" | null;
  /** The largest error of a synchronised clock. */
  clock_error_ms: number | null;
}

export interface Edges {
  now_ms: number;
  limits: StateLimits;
  edges: Edge[];
}
