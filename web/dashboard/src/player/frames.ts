/** Reports the media time of every frame that the browser shows. */

export function watchFrames(
  video: HTMLVideoElement,
  onFrame: (mediaS: number) => void,
  signal: AbortSignal,
): void {
  if ("requestVideoFrameCallback" in video) {
    const again = (_now: number, meta: VideoFrameCallbackMetadata): void => {
      if (signal.aborted) return;
      onFrame(meta.mediaTime);
      video.requestVideoFrameCallback(again);
    };
    video.requestVideoFrameCallback(again);
    return;
  }
  // Older browsers do not report frames: the element's current time is close enough.
  const element: HTMLVideoElement = video;
  const tick = (): void => {
    if (signal.aborted) return;
    if (element.readyState >= 2) onFrame(element.currentTime);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
