import { show, TokenizerError } from "../errors.ts";
import type { GgufMetadata } from "../gguf/metadata.ts";
import type { GgufCheckpoint } from "../gguf/reader.ts";
import { isObject, type Json, type JsonObject, parseJson } from "../json.ts";
import { preTokenizers } from "./pre-tokenizers.ts";
import { tokenTypes } from "./to-gguf.ts";
import { Tokenizer } from "./tokenizer.ts";

/**
 * The tokenizer of a GGUF file: from the tokenizer.json that it may contain, else rebuilt from its vocabulary (byte-level BPE,
 * SentencePiece BPE, WordPiece). Undefined when the file has none; a kind that is not known is a TokenizerError.
 */
export function tokenizerFromGguf({ metadata }: GgufCheckpoint): Tokenizer | undefined {
  const { file } = metadata;
  const kind = metadata.string("tokenizer.ggml.model");
  const embedded = metadata.string("tokenizer.huggingface.json");
  if (embedded === undefined && (kind === undefined || kind === "none" || kind === "no_vocab")) return undefined;
  const tokens = metadata.strings("tokenizer.ggml.tokens") ?? [];
  const config: Record<string, Json> = {};
  for (const [key, field] of Object.entries({ bos_token: "bos", eos_token: "eos", pad_token: "padding", unk_token: "unknown" })) {
    const id = metadata.number(`tokenizer.ggml.${field}_token_id`);
    const token = id === undefined ? undefined : tokens[id];
    if (token !== undefined) config[key] = token;
  }
  const template = metadata.string("tokenizer.chat_template");
  if (template !== undefined) config.chat_template = template;
  if (embedded !== undefined) {
    const json = parseJson(`${file}: tokenizer.huggingface.json`, embedded);
    if (!isObject(json)) throw new TokenizerError(file, `tokenizer.huggingface.json: expected an object, got ${show(json)}`);
    return new Tokenizer(json, config, file);
  }
  return new Tokenizer(rebuild(metadata, kind ?? "none", tokens), config, file);
}

function rebuild(metadata: GgufMetadata, kind: string, tokens: readonly string[]): JsonObject {
  const types = metadata.numbers("tokenizer.ggml.token_type");
  const added: JsonObject[] = [];
  tokens.forEach((content, id) => {
    const type = types?.[id];
    if (type === tokenTypes.control || type === tokenTypes.userDefined || (type === tokenTypes.unknown && kind !== "gpt2"))
      added.push({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: type !== tokenTypes.userDefined,
      });
  });
  const shared = { version: "1.0", truncation: null, padding: null, added_tokens: added };
  switch (kind) {
    case "gpt2":
      return { ...shared, ...byteLevelBpe(metadata, tokens) };
    case "llama":
      return { ...shared, ...sentencePiece(metadata, tokens) };
    case "bert":
      return { ...shared, ...wordPiece(metadata, tokens, types) };
    default:
      throw new TokenizerError(metadata.file, `tokenizer.ggml.model: expected gpt2, llama or bert, got ${show(kind)}`);
  }
}

const vocabOf = (tokens: readonly string[]): JsonObject => Object.fromEntries(tokens.map((t, i) => [t, i]));

function byteLevelBpe(metadata: GgufMetadata, tokens: readonly string[]): JsonObject {
  const name = metadata.string("tokenizer.ggml.pre") ?? "default";
  const pre = preTokenizers.get(name);
  if (!pre)
    throw new TokenizerError(
      metadata.file,
      `tokenizer.ggml.pre: expected one of ${[...preTokenizers.keys()].join(", ")}, got ${show(name)}`,
    );
  return {
    normalizer: pre.normalizer ?? null,
    pre_tokenizer: pre.json,
    post_processor: around(metadata, tokens, metadata.boolean("tokenizer.ggml.add_bos_token") ?? pre.addBos ?? false),
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...bpe,
      ignore_merges: pre.ignoreMerges ?? false,
      vocab: vocabOf(tokens),
      merges: (metadata.strings("tokenizer.ggml.merges") ?? []).map((m) => pairOf(metadata.file, m)),
    },
  };
}

const bpe = {
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
} as const;

/** "a b"; a token may itself begin with a space. */
function pairOf(file: string, merge: string): [string, string] {
  const at = merge.indexOf(" ", 1);
  if (at < 0) throw new TokenizerError(file, `tokenizer.ggml.merges: expected two tokens and a space between them, got ${show(merge)}`);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

function sentencePiece(metadata: GgufMetadata, tokens: readonly string[]): JsonObject {
  const addSpace = metadata.boolean("tokenizer.ggml.add_space_prefix") ?? true;
  const unknown = metadata.number("tokenizer.ggml.unknown_token_id") ?? 0;
  const scores = metadata.numbers("tokenizer.ggml.scores");
  if (scores?.length !== tokens.length)
    throw new TokenizerError(metadata.file, `tokenizer.ggml.scores: expected ${tokens.length} scores, got ${scores?.length ?? "none"}`);
  return {
    normalizer: {
      type: "Sequence",
      normalizers: [
        ...(addSpace ? [{ type: "Prepend", prepend: "\u2581" }] : []),
        { type: "Replace", pattern: { String: " " }, content: "\u2581" },
      ],
    },
    pre_tokenizer: null,
    post_processor: around(metadata, tokens, metadata.boolean("tokenizer.ggml.add_bos_token") ?? true),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(addSpace ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      ...bpe,
      unk_token: tokens[unknown] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: vocabOf(tokens),
      merges: mergesOf(tokens, scores),
    },
  };
}

/** Every way to put a token together from two others, the highest score first: what SentencePiece's BPE does. */
function mergesOf(tokens: readonly string[], scores: ArrayLike<number>): [string, string][] {
  const ids = new Map(tokens.map((t, i) => [t, i]));
  const merges: { readonly pair: [string, string]; readonly score: number; readonly left: number; readonly right: number }[] = [];
  tokens.forEach((token, id) => {
    for (let i = 1; i < token.length && token.length <= 64; i++) {
      const pair: [string, string] = [token.slice(0, i), token.slice(i)];
      const left = ids.get(pair[0]);
      const right = ids.get(pair[1]);
      if (left !== undefined && right !== undefined) merges.push({ pair, score: scores[id] ?? 0, left, right });
    }
  });
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return merges.map((m) => m.pair);
}

function wordPiece(metadata: GgufMetadata, tokens: readonly string[], types: ArrayLike<number> | undefined): JsonObject {
  const id = (field: string): number | undefined => metadata.number(`tokenizer.ggml.${field}_token_id`);
  const special = (ids: readonly (number | undefined)[], name: string): string =>
    ids.map((i) => tokens[i ?? -1]).find((t) => t !== undefined) ?? name;
  const cls = special([id("cls"), id("bos")], "[CLS]");
  const sep = special([id("seperator"), id("eos")], "[SEP]");
  const words = tokens.map((t, i) => {
    const type = types?.[i] ?? tokenTypes.normal;
    if (type !== tokenTypes.normal) return t;
    return t.startsWith("\u2581") ? t.slice(1) : `##${t}`;
  });
  return {
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: template(tokens, [cls], [sep]),
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: tokens[id("unknown") ?? -1] ?? "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: vocabOf(words),
    },
  };
}

/** BOS and EOS around a text, as the file says. */
function around(metadata: GgufMetadata, tokens: readonly string[], addBos: boolean): JsonObject | null {
  const token = (field: string, wanted: boolean): string[] => {
    const t = tokens[metadata.number(`tokenizer.ggml.${field}_token_id`) ?? -1];
    return wanted && t !== undefined ? [t] : [];
  };
  const before = token("bos", addBos);
  const after = token("eos", metadata.boolean("tokenizer.ggml.add_eos_token") ?? false);
  return before.length + after.length === 0 ? null : template(tokens, before, after);
}

function template(tokens: readonly string[], before: readonly string[], after: readonly string[]): JsonObject {
  const special = (id: string): JsonObject => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string): JsonObject => ({ Sequence: { id, type_id: 0 } });
  const single = [...before.map(special), text("A"), ...after.map(special)];
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, text("B"), ...after.map(special)],
    special_tokens: Object.fromEntries([...before, ...after].map((t) => [t, { id: t, ids: [tokens.indexOf(t)], tokens: [t] }])),
  };
}
