/** Tells the film time of every frame that the browser puts on the screen. */

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
  // Older browsers do not say which frame is shown: the clock of the film is near enough.
  const film: HTMLVideoElement = video;
  const tick = (): void => {
    if (signal.aborted) return;
    if (film.readyState >= 2) onFrame(film.currentTime);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
