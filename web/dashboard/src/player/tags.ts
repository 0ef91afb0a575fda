/** Positions of the boxes' tags, so that none hides another. Pure. */

export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export function touches(a: Area, b: Area): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/**
 * Puts a tag above its box, or inside its top, or below it: the first place inside `picture` that
 * no tag in `taken` touches. null when there is none.
 */
export function placeTag(
  box: Area,
  tagWidth: number,
  tagHeight: number,
  picture: Area,
  taken: readonly Area[],
): Area | null {
  const x = Math.max(picture.x, Math.min(box.x - 1, picture.x + picture.width - tagWidth));
  const heights = [box.y - tagHeight - 1, box.y + 1, box.y + box.height + 1];
  for (const y of heights) {
    const tag = { x, y, width: tagWidth, height: tagHeight };
    const inside = y >= picture.y && y + tagHeight <= picture.y + picture.height;
    if (inside && !taken.some((other) => touches(tag, other))) return tag;
  }
  return null;
}

/** Where a picture of the given size lies inside an element that shows all of it. */
export function contained(
  outerWidth: number,
  outerHeight: number,
  width: number,
  height: number,
): Area {
  const scale = Math.min(outerWidth / width, outerHeight / height);
  return {
    x: (outerWidth - width * scale) / 2,
    y: (outerHeight - height * scale) / 2,
    width: width * scale,
    height: height * scale,
  };
}
