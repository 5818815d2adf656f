import fc from "fast-check";
import { expect, test } from "vitest";
import { StopMatcher } from "../../src/generation/stop.ts";

const feed = (stops: string[], pieces: string[]): { shown: string; stop: string | undefined } => {
  const m = new StopMatcher(stops);
  let shown = "";
  for (const p of pieces) {
    const r = m.push(p);
    shown += r.text;
    if (r.stop !== undefined) return { shown, stop: r.stop };
  }
  return { shown: shown + m.flush(), stop: undefined };
};

test("a stop string across pieces is never shown in part", () => {
  const m = new StopMatcher(["END"]);
  expect(m.push("the E")).toEqual({ text: "the " });
  expect(m.push("N")).toEqual({ text: "" });
  expect(m.push("D now")).toEqual({ text: "", stop: "END" });
});

const word = (minLength: number, maxLength: number) => fc.string({ unit: fc.constantFrom("a", "b"), minLength, maxLength });

test("however the text is cut, the result is that of the whole text", () => {
  fc.assert(
    fc.property(fc.array(word(0, 4), { maxLength: 12 }), fc.array(word(1, 3), { maxLength: 3 }), (pieces, stops) => {
      const whole = pieces.join("");
      const hits = stops
        .filter((s) => whole.includes(s))
        .map((stop) => ({ stop, start: whole.indexOf(stop), end: whole.indexOf(stop) + stop.length }))
        .sort((a, b) => a.end - b.end || a.start - b.start);
      const [first] = hits;
      expect(feed(stops, pieces)).toEqual(
        first ? { shown: whole.slice(0, first.start), stop: first.stop } : { shown: whole, stop: undefined },
      );
    }),
  );
});
