import { describe, expect, it } from "vitest";
import { StreamDecoder, Tokenizer } from "../src/index.ts";
import { fixture, json } from "./fixtures.ts";

const demo = (): Tokenizer => new Tokenizer(json("demo-model/tokenizer.json"), json("demo-model/tokenizer_config.json"));
const golden: { tokenizer: { text: string; ids: number[] }[] } = JSON.parse(fixture("demo-model/golden.json").toString());

describe("tokenizer.json", () => {
  it.each(golden.tokenizer)("is exact both ways: $text", ({ text, ids }) => {
    const t = demo();
    expect(t.encode(text)).toEqual(ids);
    expect(t.encode(text, { addSpecialTokens: false })).toEqual(ids.slice(1));
    // Special tokens in the text itself are special in the ids too.
    expect(t.decode(ids, { skipSpecialTokens: false })).toBe(`<s>${text}`);
    expect(t.decode(ids)).toBe(text.replaceAll(/<\/?s>/g, ""));
  });
});
