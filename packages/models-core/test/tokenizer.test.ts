import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  convertToGguf,
  type GgufValue,
  type JsonObject,
  memorySource,
  ModelFileError,
  openGguf,
  StreamDecoder,
  Tokenizer,
  TokenizerError,
  tokenizerFromDirectory,
  tokenizerFromGguf,
  writeGguf,
} from "../src/index.ts";
import { openDirectory } from "../src/node/files.ts";
import { tokenizerToGguf } from "../src/tokenizer/to-gguf.ts";
import { collect, fixture, json, path } from "./fixtures.ts";

const golden: { tokenizer: { text: string; ids: number[] }[] } = JSON.parse(fixture("demo-model/golden.json").toString());
const demoJson = json("demo-model/tokenizer.json");
const demoConfig = json("demo-model/tokenizer_config.json");
const demo = new Tokenizer(demoJson, demoConfig);

async function fromMetadata(values: Iterable<[string, GgufValue]>): Promise<Tokenizer | undefined> {
  using file = await openGguf(memorySource("m.gguf", await collect((sink) => writeGguf(sink, new Map(values), []))));
  return tokenizerFromGguf(file);
}
const without = (values: ReadonlyMap<string, GgufValue>, ...keys: string[]): [string, GgufValue][] =>
  [...values].filter(([k]) => !keys.includes(k));

const embedded = async (): Promise<Tokenizer | undefined> => {
  const dir = await openDirectory(path("demo-model"));
  using file = await openGguf(memorySource("m.gguf", await collect((sink) => convertToGguf(dir, sink, { type: "q4_0" }))));
  return tokenizerFromGguf(file);
};
const rebuilt = (): Promise<Tokenizer | undefined> =>
  fromMetadata(without(tokenizerToGguf(demoJson, demoConfig, 1024).values, "tokenizer.huggingface.json"));
const directory = async (): Promise<Tokenizer | undefined> => tokenizerFromDirectory(await openDirectory(path("demo-model")));

describe.each([
  ["tokenizer.json", directory],
  ["tokenizer.json inside a GGUF file", embedded],
  ["a GGUF vocabulary", rebuilt],
])("the demo model's tokenizer from %s", (_from, make) => {
  it.each(golden.tokenizer)("is exact both ways: $text", async ({ text, ids }) => {
    const t = await make();
    expect(t?.encode(text)).toEqual(ids);
    expect(t?.encode(text, { addSpecialTokens: false })).toEqual(ids.slice(1));
    // Special tokens in the text itself are special in the ids too.
    expect(t?.decode(ids, { skipSpecialTokens: false })).toBe(`<s>${text}`);
    expect(t?.decode(ids)).toBe(text.replaceAll(/<\/?s>/g, ""));
  });
  it("knows its special tokens", async () => {
    const t = await make();
    expect([t?.bosTokenId, t?.eosTokenId, t?.padTokenId, t?.vocabSize]).toEqual([1, 2, 0, 1024]);
    expect([...(t?.specialIds ?? [])]).toEqual([0, 1, 2]);
    expect(t?.idToToken(1)).toBe("<s>");
    expect(t?.tokenToId("Ġthe")).toBe(demo.tokenToId("Ġthe"));
  });
});

describe("Tokenizer", () => {
  it("refuses ids that it does not know", () => {
    expect(() => demo.decode([1, 5000])).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: tokenizer.json: expected token ids of the vocabulary (1024 ids), got 5000]`,
    );
    expect(demo.decode([])).toBe("");
  });
  it("refuses a file that is no tokenizer", () => {
    expect(() => new Tokenizer({})).toThrow(TokenizerError);
    expect(() => new Tokenizer({ model: { type: "Neural" } })).toThrow(TokenizerError);
  });
  it("renders chat templates", () => {
    const chat_template =
      "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    const t = new Tokenizer(demoJson, { ...demoConfig, chat_template });
    const messages = [{ role: "user", content: "Hi & bye" }];
    expect(t.applyChatTemplate(messages)).toBe("<s><user>Hi & bye</user><assistant>");
    expect(t.applyChatTemplate(messages, { addGenerationPrompt: false })).toBe("<s><user>Hi & bye</user>");
    expect(() => demo.applyChatTemplate(messages)).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: tokenizer.json: expected a chat template, got a model without one]`,
    );
    expect(() => new Tokenizer(demoJson, { chat_template: "{% if %}" })).toThrow(TokenizerError);
    const refusing = new Tokenizer(demoJson, { chat_template: "{{ raise_exception('no such role') }}" });
    expect(() => refusing.applyChatTemplate(messages)).toThrow(/no such role/);
  });
  it("decodes what it encodes, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        fc.pre(!/<(pad|s|\/s)>/.test(text));
        expect(demo.decode(demo.encode(text))).toBe(text);
      }),
    );
  });
});

describe("StreamDecoder", () => {
  const stream = (t: Tokenizer, ids: readonly number[]): string[] => {
    const decoder = new StreamDecoder(t);
    return [...ids.map((id) => decoder.push(id)), decoder.flush()];
  };
  it("gives the text of all ids, in pieces of whole characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
        fc.pre(!/<(pad|s|\/s)>/.test(text));
        const pieces = stream(demo, demo.encode(text));
        expect(pieces.join("")).toBe(text);
        for (const p of pieces) expect(Buffer.from(p).toString()).toBe(p);
      }),
    );
  });
  it("agrees with decode on any ids, also on bytes that are not UTF-8", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 3, max: 260 }), { maxLength: 60 }), (ids) => {
        expect(stream(demo, ids).join("")).toBe(demo.decode(ids));
      }),
    );
  });
  it("waits for the last byte of a character", () => {
    const ids = demo.encode("a🦊b", { addSpecialTokens: false });
    expect(stream(demo, ids)).toEqual(["a", "", "", "", "🦊", "b", ""].slice(-ids.length - 1));
    expect(stream(demo, ids.slice(0, 2)).at(-1)).toBe("\ufffd");
  });
});

/** A small SentencePiece BPE in the form that llama's tokenizer.json has. */
const pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "<0xE2>", "<0x82>", "<0xAC>", "\u2581", "a", "b", "c", "ab", "\u2581ab", "\u2581abc"];
const sentencePieceJson: JsonObject = {
  version: "1.0",
  added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({
    id,
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "\u2581" },
      { type: "Replace", pattern: { String: " " }, content: "\u2581" },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
  },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "\u2581" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    unk_token: "<unk>",
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: Object.fromEntries(pieces.map((p, i) => [p, i])),
    merges: [
      ["a", "b"],
      ["\u2581", "ab"],
      ["\u2581ab", "c"],
    ],
  },
};

describe("other kinds of tokenizer through GGUF", () => {
  it("SentencePiece: the same ids from the vocabulary with scores alone", async () => {
    const original = new Tokenizer(sentencePieceJson, { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" });
    const { values } = tokenizerToGguf(sentencePieceJson, { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" }, pieces.length + 2);
    expect(values.get("tokenizer.ggml.model")).toEqual({ type: "string", value: "llama" });
    expect(values.get("tokenizer.ggml.token_type")).toEqual({
      type: "array",
      of: "i32",
      value: Int32Array.of(2, 3, 3, 6, 6, 6, 6, 1, 1, 1, 1, 1, 1, 1, 5, 5),
    });
    const t = await fromMetadata(without(values, "tokenizer.huggingface.json"));
    for (const text of ["abc ab c", "a€\nb", "  ab"]) {
      expect(t?.encode(text)).toEqual(original.encode(text));
      expect(t?.decode(original.encode(text))).toBe(text);
    }
    const ids = original.encode("ab€€ abc");
    const decoder = new StreamDecoder(original);
    expect([...ids.map((id) => decoder.push(id)), decoder.flush()].join("")).toBe("ab€€ abc");
  });

  it("WordPiece", async () => {
    const vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "a", ","];
    const wordPiece: JsonObject = {
      version: "1.0",
      added_tokens: vocab
        .slice(0, 4)
        .map((content, id) => ({ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false })),
      normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(vocab.map((v, i) => [v, i])),
      },
    };
    const config = { unk_token: "[UNK]", sep_token: "[SEP]", pad_token: "[PAD]", cls_token: "[CLS]" };
    const original = new Tokenizer(wordPiece, config);
    expect(original.encode("Playing a, b")).toEqual([2, 4, 5, 6, 7, 1, 3]);
    const { values } = tokenizerToGguf(wordPiece, config, vocab.length);
    expect(values.get("tokenizer.ggml.tokens")).toMatchObject({
      value: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581play", "ing", "\u2581a", "\u2581,"],
    });
    const t = await fromMetadata(without(values, "tokenizer.huggingface.json"));
    expect(t?.encode("Playing a, b")).toEqual([2, 4, 5, 6, 7, 1, 3]);
  });

  it("a kind or a cut of text that is not known is an error", async () => {
    const { values } = tokenizerToGguf(demoJson, demoConfig, 1024);
    const rest = without(values, "tokenizer.huggingface.json", "tokenizer.ggml.model", "tokenizer.ggml.pre");
    const kind = (value: string): [string, GgufValue] => ["tokenizer.ggml.model", { type: "string", value }];
    await expect(fromMetadata([...rest, kind("rwkv")])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: m.gguf: tokenizer.ggml.model: expected gpt2, llama or bert, got "rwkv"]`,
    );
    await expect(
      fromMetadata([...rest, kind("gpt2"), ["tokenizer.ggml.pre", { type: "string", value: "poro" }]]),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: m.gguf: tokenizer.ggml.pre: expected one of gpt-2, llama-bpe, qwen2, smollm, tekken, default, got "poro"]`,
    );
    await expect(fromMetadata([...rest, kind("llama")])).rejects.toThrow(TokenizerError);
    await expect(fromMetadata([["tokenizer.huggingface.json", { type: "string", value: "{" }]])).rejects.toThrow(ModelFileError);
    expect(await fromMetadata([kind("none")])).toBeUndefined();
    expect(await fromMetadata([])).toBeUndefined();
  });

  it("ids beyond the model's rows, and kinds that GGUF has no form for, are errors", () => {
    expect(() => tokenizerToGguf(demoJson, demoConfig, 1000)).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: tokenizer.json: token "Ġcookie": expected an id below the model's 1000 rows, got 1000]`,
    );
    expect(() => tokenizerToGguf({ model: { type: "Unigram", vocab: {} } }, {}, 10)).toThrow(TokenizerError);
    const other = tokenizerToGguf({ ...demoJson, pre_tokenizer: { type: "Whitespace" } }, demoConfig, 1024);
    expect(other.notes).toHaveLength(1);
  });

  it.each(["llama-bpe", "qwen2", "smollm", "tekken", "default"])("byte-level BPE cut as %s loads and is lossless", async (pre) => {
    const { values } = tokenizerToGguf(demoJson, demoConfig, 1024);
    const changed = new Map(without(values, "tokenizer.huggingface.json"));
    changed.set("tokenizer.ggml.pre", { type: "string", value: pre });
    const t = await fromMetadata(changed);
    for (const { text } of golden.tokenizer.slice(0, 6)) expect(t?.decode(t.encode(text))).toBe(text);
  });
});
