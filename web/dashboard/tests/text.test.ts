import { describe, expect, it } from "vitest";
import {
  clockTime,
  fieldMoment,
  fieldValue,
  hourMinute,
  preciseTime,
  roughSpan,
  shortDate,
  span,
  UTC,
  zoneLabel,
  zoneOffsetMinutes,
} from "../src/format";
import { countText, reasonText } from "../src/ui/text";

const BERLIN = { name: "Europe/Berlin" };
const KOLKATA = { name: "Asia/Kolkata" };
const SUMMER = Date.UTC(2026, 6, 1, 22, 30, 5, 678);
const WINTER = Date.UTC(2026, 10, 22, 23, 30, 5);

describe("times", () => {
  it("are shown in their zone", () => {
    expect(clockTime(SUMMER, UTC)).toBe("22:30:05");
    expect(clockTime(SUMMER, BERLIN)).toBe("00:30:05");
    expect(hourMinute(WINTER, KOLKATA)).toBe("05:00");
    expect(preciseTime(SUMMER, UTC)).toBe("22:30:05.6");
    expect(shortDate(WINTER, UTC)).toBe("Sun 22 Nov");
    expect(shortDate(WINTER, BERLIN)).toBe("Mon 23 Nov");
  });

  it("carry the zone's name at that time of the year", () => {
    expect(zoneLabel(SUMMER, BERLIN)).toBe("CEST");
    expect(zoneLabel(WINTER, BERLIN)).toBe("CET");
    expect(zoneLabel(WINTER, UTC)).toBe("UTC");
    expect(zoneOffsetMinutes(SUMMER, BERLIN)).toBe(120);
    expect(zoneOffsetMinutes(WINTER, KOLKATA)).toBe(330);
  });

  it("pass through a date-and-time field unchanged, also next to a clock change", () => {
    for (const zone of [UTC, BERLIN, KOLKATA]) {
      for (const ms of [SUMMER, WINTER, Date.UTC(2026, 2, 29, 1, 0, 0), Date.UTC(2026, 9, 25, 3)]) {
        const whole = Math.floor(ms / 1000) * 1000;
        expect(fieldMoment(fieldValue(whole, zone), zone)).toBe(whole);
      }
    }
    expect(fieldMoment("", UTC)).toBeNull();
  });
});

describe("spans", () => {
  const plain = (text: string): string => text.replaceAll("\u00a0", " ");
  it("are rounded", () => {
    expect(plain(span(4200))).toBe("4 s");
    expect(plain(span(72_000))).toBe("1 min 12 s");
    expect(plain(span(20 * 60_000))).toBe("20 min");
    expect(plain(span(125 * 60_000))).toBe("2 h 5 min");
    expect(plain(span(72 * 3_600_000))).toBe("3 days");
    expect(plain(roughSpan(72_000))).toBe("1 min");
    expect(plain(roughSpan(-5))).toBe("0 s");
  });
});

describe("texts", () => {
  it("count things", () => {
    expect(countText("person", 1)).toBe("1 person");
    expect(countText("person", 3)).toBe("3 people");
    expect(countText("bus", 2)).toBe("2 buses");
    expect(countText("car", 2)).toBe("2 cars");
  });
  it("read reasons", () => {
    expect(reasonText("camera_lost")).toBe("camera lost");
    expect(reasonText("")).toBe("reason unknown");
  });
});
