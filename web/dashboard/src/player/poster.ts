/** A still image over the video, until the video can show its own frame. */
import { thumbnailUrl } from "../api/client";

const WIDTH = 960;

export class Poster {
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly video: HTMLVideoElement,
    private readonly cameraId: string,
  ) {}

  hide(): void {
    this.canvas.hidden = true;
  }

  /** Keeps showing the current frame. */
  freeze(): void {
    if (this.video.readyState < 2 || !this.canvas.hidden) return;
    this.paint(this.video, this.video.videoWidth, this.video.videoHeight);
  }

  /** Shows the frame at a time (null: the newest), if it is still wanted when it is loaded. */
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
