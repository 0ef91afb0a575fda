/** Names for parts of the generated types. */
import type { Camera, Detection } from "./types";

export type CameraState = Camera["state"];

/** Left, top, width and height, as fractions of the frame. */
export type Box = Detection["box"];
