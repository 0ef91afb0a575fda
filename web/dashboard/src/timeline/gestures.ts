/** Translates wheel, drag, pinch and click on a timeline into commands. */

export interface Gestures {
  zoom(factor: number, x: number): void;
  /** Positive: towards later time. */
  panBy(pixels: number): void;
  hover(x: number | null): void;
  pick(x: number): void;
}

const CLICK_SLACK_PX = 5;

export function attachGestures(element: HTMLElement, gestures: Gestures): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  const fingers = new Map<number, number>();
  let moved = 0;
  let pinched = false;

  const xIn = (event: MouseEvent): number => event.clientX - element.getBoundingClientRect().left;

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
      if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
        gestures.panBy(sideways * unit);
        return;
      }
      const strength = event.ctrlKey ? 0.01 : 0.0022;
      const amount = Math.max(-240, Math.min(240, event.deltaY * unit));
      gestures.zoom(Math.exp(-amount * strength), xIn(event));
    },
    { passive: false, signal },
  );

  element.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, xIn(event));
      if (fingers.size === 1) {
        moved = 0;
        pinched = false;
      } else pinched = true;
    },
    { signal },
  );

  element.addEventListener(
    "pointermove",
    (event) => {
      const x = xIn(event);
      const before = fingers.get(event.pointerId);
      if (before === undefined) {
        if (event.pointerType === "mouse") gestures.hover(x);
        return;
      }
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1] ?? before;
        const was = Math.max(12, Math.abs(before - other));
        const is = Math.max(12, Math.abs(x - other));
        gestures.zoom(is / was, (x + other) / 2);
        gestures.panBy((before - x) / 2);
      } else {
        moved += Math.abs(x - before);
        if (moved > CLICK_SLACK_PX) {
          element.classList.add("dragging");
          gestures.hover(null);
          gestures.panBy(before - x);
        }
      }
      fingers.set(event.pointerId, x);
    },
    { signal },
  );

  const lift = (event: PointerEvent, counts: boolean): void => {
    if (!fingers.delete(event.pointerId)) return;
    element.classList.remove("dragging");
    if (counts && !pinched && fingers.size === 0 && moved <= CLICK_SLACK_PX) {
      gestures.pick(xIn(event));
    }
  };
  element.addEventListener("pointerup", (event) => lift(event, true), { signal });
  element.addEventListener("pointercancel", (event) => lift(event, false), { signal });
  element.addEventListener("pointerleave", () => gestures.hover(null), { signal });
  return () => controller.abort();
}
