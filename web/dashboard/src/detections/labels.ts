/** Which family a label belongs to, and the one colour that the family keeps everywhere. */

export type Family = "person" | "vehicle" | "animal" | "bag" | "other";

export const FAMILIES: readonly Family[] = ["person", "vehicle", "animal", "bag", "other"];

/** Distinguishable with all common kinds of colour blindness. Text is always shown next to them. */
export const FAMILY_COLOUR: Record<Family, string> = {
  person: "#e69f00",
  vehicle: "#56b4e9",
  animal: "#00a878",
  bag: "#f0e442",
  other: "#a8b0ba",
};

const MEMBERS: Record<Exclude<Family, "other">, readonly string[]> = {
  person: ["person", "people", "pedestrian", "face", "rider"],
  vehicle: [
    "vehicle",
    "car",
    "truck",
    "bus",
    "van",
    "motorcycle",
    "motorbike",
    "bicycle",
    "train",
    "boat",
    "airplane",
    "aeroplane",
    "forklift",
    "trailer",
  ],
  animal: [
    "animal",
    "dog",
    "cat",
    "bird",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "fox",
    "deer",
  ],
  bag: ["bag", "backpack", "handbag", "suitcase", "package", "parcel", "luggage"],
};

const FAMILY_OF = new Map<string, Family>(
  Object.entries(MEMBERS).flatMap(([family, labels]) =>
    labels.map((label): [string, Family] => [label, family as Family]),
  ),
);

export function familyOf(label: string): Family {
  return FAMILY_OF.get(label.toLowerCase()) ?? "other";
}

export function colourOf(label: string): string {
  return FAMILY_COLOUR[familyOf(label)];
}

/** Order of labels in lists: people first, then by name. */
export function compareLabels(a: string, b: string): number {
  return FAMILIES.indexOf(familyOf(a)) - FAMILIES.indexOf(familyOf(b)) || a.localeCompare(b);
}
