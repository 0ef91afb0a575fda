/** A still picture over the video, for as long as the video has none of its own to show. */
import { thumbnailUrl } from "../api/client";

const WIDTH = 960;

export class Cover {
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly video: HTMLVideoElement,
    private readonly cameraId: string,
  ) {}

  hide(): void {
    this.canvas.hidden = true;
  }

  /** Keeps the frame that is on the screen. */
  freeze(): void {
    if (this.video.readyState < 2 || !this.canvas.hidden) return;
    this.paint(this.video, this.video.videoWidth, this.video.videoHeight);
  }

  /** Shows the picture of a moment, or the newest one, if it is still wanted when it arrives. */
  showMoment(atMs: number | null, isWanted: () => boolean): void {
    this.freeze();
    const picture = new Image();
    picture.onload = () => {
      if (isWanted()) this.paint(picture, picture.naturalWidth, picture.naturalHeight);
    };
    const at = atMs === null ? undefined : Math.floor(atMs);
    picture.src = thumbnailUrl(this.cameraId, WIDTH, at);
  }

  private paint(picture: CanvasImageSource, width: number, height: number): void {
    if (!width || !height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.getContext("2d")?.drawImage(picture, 0, 0, width, height);
    this.canvas.hidden = false;
  }
}
