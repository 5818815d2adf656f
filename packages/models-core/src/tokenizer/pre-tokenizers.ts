import type { Json, JsonObject } from "../json.ts";

/*
 * Byte-level BPE models cut a text before merging. GGUF names the way it is cut (`tokenizer.ggml.pre`); tokenizer.json spells it out.
 */

const split = (regex: string): JsonObject => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const byteLevel = (useRegex: boolean): JsonObject => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: JsonObject[]): JsonObject => ({ type: "Sequence", pretokenizers });
const regexThenBytes = (...regexes: string[]): JsonObject => sequence(...regexes.map(split), byteLevel(false));

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const tail = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const gpt4Like = (digits: string): string =>
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*${tail}`;
const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export interface PreTokenizer {
  readonly json: JsonObject;
  readonly normalizer?: JsonObject;
  /** Llama 3: a piece that is a token as a whole is not merged. */
  readonly ignoreMerges?: boolean;
  /** What files that do not say mean. */
  readonly addBos?: boolean;
}

/** The ways that rlxjs knows, by GGUF's names. */
export const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map<string, PreTokenizer>([
  ["gpt-2", { json: byteLevel(true) }],
  ["llama-bpe", { json: regexThenBytes(gpt4Like("\\p{N}{1,3}")), ignoreMerges: true, addBos: true }],
  ["qwen2", { json: regexThenBytes(gpt4Like("\\p{N}")), normalizer: { type: "NFC" } }],
  ["smollm", { json: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)) }],
  [
    "tekken",
    {
      json: regexThenBytes(
        `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*${tail}`,
      ),
      ignoreMerges: true,
    },
  ],
  ["default", { json: regexThenBytes("[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]") }],
]);

/** GGUF's name of a tokenizer.json's pre-tokenizer; undefined when it is none of those above. */
export function preTokenizerName(json: Json | undefined): string | undefined {
  const wanted = essence(json);
  for (const [name, p] of preTokenizers) if (essence(p.json) === wanted) return name;
  return undefined;
}

/** What matters of a pre-tokenizer: its parts in order, with their patterns. A sequence of one part is that part. */
function essence(json: Json | undefined): string {
  const parts: Json[] = [];
  const visit = (p: Json | undefined): void => {
    if (typeof p !== "object" || p === null || !("type" in p)) parts.push(p ?? null);
    else if (p.type === "Sequence" && Array.isArray(p.pretokenizers)) for (const inner of p.pretokenizers) visit(inner);
    else if (p.type === "ByteLevel") parts.push(["ByteLevel", p.use_regex ?? true, p.add_prefix_space ?? false]);
    else if (p.type === "Split") parts.push(["Split", p.pattern ?? null, p.behavior ?? null, p.invert ?? false]);
    else parts.push(p);
  };
  visit(json);
  return JSON.stringify(parts);
}
