import { show, TokenizerError } from "../errors.ts";
import type { GgufValue } from "../gguf/metadata.ts";
import { isObject, type Json, type JsonObject } from "../json.ts";
import { preTokenizerName } from "./pre-tokenizers.ts";

/** `tokenizer.ggml.token_type`. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const byteToken = /^<0x[0-9A-F]{2}>$/;

export interface TokenizerMetadata {
  readonly values: ReadonlyMap<string, GgufValue>;
  /** What readers other than rlxjs will do differently. */
  readonly notes: readonly string[];
}

/**
 * A tokenizer.json as GGUF metadata: the vocabulary in the form that llama.cpp reads, and the whole file for readers that can use it.
 * `vocabSize` is the model's number of rows; ids that the tokenizer does not use are filled up.
 */
export function tokenizerToGguf(json: JsonObject, config: JsonObject, vocabSize: number, file = "tokenizer.json"): TokenizerMetadata {
  const model = json.model;
  if (!isObject(model)) throw new TokenizerError(file, `expected a model, got ${show(model)}`);
  const values = new Map<string, GgufValue>();
  const notes: string[] = [];
  const vocab = readVocab(file, json, model, vocabSize);
  switch (model.type) {
    case "BPE":
      if (model.byte_fallback === true) sentencePiece(values, json, model, vocab);
      else byteLevelBpe(file, values, json, model, notes);
      break;
    case "WordPiece":
      values.set("tokenizer.ggml.model", { type: "string", value: "bert" });
      values.set("tokenizer.ggml.pre", { type: "string", value: "default" });
      vocab.tokens = vocab.tokens.map((t, i) => (vocab.types[i] === tokenTypes.normal ? phantomSpace(t) : t));
      break;
    default:
      throw new TokenizerError(file, `expected a model of type BPE or WordPiece, got ${show(model.type)}`);
  }
  values.set("tokenizer.ggml.tokens", { type: "array", of: "string", value: vocab.tokens });
  values.set("tokenizer.ggml.token_type", { type: "array", of: "i32", value: Int32Array.from(vocab.types) });
  const special = addedBy(json.post_processor);
  const id = (token: string | undefined): number | undefined => (token === undefined ? undefined : vocab.ids.get(token));
  setId(values, "tokenizer.ggml.bos_token_id", id(named(config, "bos_token")) ?? id(special.before));
  setId(values, "tokenizer.ggml.eos_token_id", id(named(config, "eos_token")));
  setId(values, "tokenizer.ggml.padding_token_id", id(named(config, "pad_token")));
  setId(values, "tokenizer.ggml.unknown_token_id", id(named(config, "unk_token")));
  if (model.type === "WordPiece") setId(values, "tokenizer.ggml.seperator_token_id", id(named(config, "sep_token") ?? special.after)); // sic
  if (model.type !== "WordPiece") {
    values.set("tokenizer.ggml.add_bos_token", { type: "bool", value: special.before !== undefined });
    values.set("tokenizer.ggml.add_eos_token", { type: "bool", value: special.after !== undefined });
  }
  if (typeof config.chat_template === "string") values.set("tokenizer.chat_template", { type: "string", value: config.chat_template });
  values.set("tokenizer.huggingface.json", { type: "string", value: JSON.stringify(json) });
  return { values, notes };
}

interface Vocab {
  tokens: string[];
  readonly types: number[];
  readonly ids: ReadonlyMap<string, number>;
}

function readVocab(file: string, json: JsonObject, model: JsonObject, vocabSize: number): Vocab {
  const tokens = Array.from({ length: vocabSize }, (_, i) => `[PAD${i}]`);
  const types = tokens.map((): number => tokenTypes.unused);
  const ids = new Map<string, number>();
  const put = (token: string, id: Json | undefined, type: number): void => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= vocabSize)
      throw new TokenizerError(file, `token ${show(token)}: expected an id below the model's ${vocabSize} rows, got ${show(id)}`);
    tokens[id] = token;
    types[id] = type;
    ids.set(token, id);
  };
  if (!isObject(model.vocab)) throw new TokenizerError(file, `model.vocab: expected an object, got ${show(model.vocab)}`);
  for (const [token, id] of Object.entries(model.vocab)) put(token, id, typeOf(token, model));
  const added: readonly Json[] = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  for (const t of added) {
    if (!isObject(t) || typeof t.content !== "string")
      throw new TokenizerError(file, `added_tokens: expected objects with content, got ${show(t)}`);
    const type = t.content === model.unk_token ? tokenTypes.unknown : t.special === true ? tokenTypes.control : tokenTypes.userDefined;
    put(t.content, t.id, type);
  }
  return { tokens, types, ids };
}

function typeOf(token: string, model: JsonObject): number {
  if (token === model.unk_token) return tokenTypes.unknown;
  return model.byte_fallback === true && byteToken.test(token) ? tokenTypes.byte : tokenTypes.normal;
}

function byteLevelBpe(file: string, values: Map<string, GgufValue>, json: JsonObject, model: JsonObject, notes: string[]): void {
  const pre = preTokenizerName(json.pre_tokenizer);
  if (pre === undefined)
    notes.push("llama.cpp has no name that rlxjs knows for the way this tokenizer cuts text; it will use its default, which may differ");
  values.set("tokenizer.ggml.model", { type: "string", value: "gpt2" });
  values.set("tokenizer.ggml.pre", { type: "string", value: pre ?? "default" });
  values.set("tokenizer.ggml.merges", { type: "array", of: "string", value: readMerges(file, model).map(([a, b]) => `${a} ${b}`) });
}

/** SentencePiece's own merging takes the pair whose result has the highest score: the earlier a merge, the higher. */
function sentencePiece(values: Map<string, GgufValue>, json: JsonObject, model: JsonObject, vocab: Vocab): void {
  const scores = new Float32Array(vocab.tokens.length);
  const seen = new Set<string>();
  let rank = 0;
  for (const [a, b] of readMerges("tokenizer.json", model)) {
    const merged = a + b;
    const id = vocab.ids.get(merged);
    if (id === undefined || seen.has(merged)) continue;
    seen.add(merged);
    scores[id] = -rank++;
  }
  values.set("tokenizer.ggml.model", { type: "string", value: "llama" });
  values.set("tokenizer.ggml.pre", { type: "string", value: "default" });
  values.set("tokenizer.ggml.scores", { type: "array", of: "f32", value: scores });
  values.set("tokenizer.ggml.add_space_prefix", { type: "bool", value: addsSpace(json) });
}

/** Whether a text gets a space in front: by a normalizer, or by the pre-tokenizer of newer files. */
function addsSpace(json: JsonObject): boolean {
  const parts = (value: Json | undefined, key: string): readonly Json[] => {
    const list = isObject(value) ? value[key] : undefined;
    return Array.isArray(list) ? list : value === undefined ? [] : [value];
  };
  const normalizers = parts(json.normalizer, "normalizers");
  const pre = parts(json.pre_tokenizer, "pretokenizers");
  return (
    normalizers.some((n) => isObject(n) && n.type === "Prepend") ||
    pre.some((p) => isObject(p) && p.type === "Metaspace" && p.prepend_scheme !== "never")
  );
}

function readMerges(file: string, model: JsonObject): [string, string][] {
  const merges: readonly Json[] = Array.isArray(model.merges) ? model.merges : [];
  return merges.map((m) => {
    const [a, b, ...rest] = typeof m === "string" ? m.split(" ") : Array.isArray(m) ? m : [];
    if (typeof a !== "string" || typeof b !== "string" || rest.length > 0)
      throw new TokenizerError(file, `model.merges: expected pairs of tokens, got ${show(m)}`);
    return [a, b];
  });
}

/** WordPiece marks the inside of words (`##ing`), GGUF their start. */
const phantomSpace = (token: string): string => (token.startsWith("##") ? token.slice(2) : `\u2581${token}`);

/** The special tokens that the post-processor puts around one text. */
function addedBy(processor: Json | undefined): { readonly before: string | undefined; readonly after: string | undefined } {
  const none = { before: undefined, after: undefined };
  if (!isObject(processor)) return none;
  if (processor.type === "Sequence" && Array.isArray(processor.processors)) {
    const all = processor.processors.map(addedBy);
    return { before: all.find((p) => p.before)?.before, after: all.find((p) => p.after)?.after };
  }
  const first = (pair: Json | undefined): string | undefined => (Array.isArray(pair) && typeof pair[0] === "string" ? pair[0] : undefined);
  if (processor.type === "BertProcessing" || processor.type === "RobertaProcessing")
    return { before: first(processor.cls), after: first(processor.sep) };
  if (processor.type !== "TemplateProcessing" || !Array.isArray(processor.single)) return none;
  const items = processor.single.map((item) => {
    const special = isObject(item) ? item.SpecialToken : undefined;
    return isObject(special) && typeof special.id === "string" ? special.id : undefined;
  });
  const text = items.indexOf(undefined);
  return { before: items.slice(0, text).at(-1), after: items[text + 1] };
}

/** A token of tokenizer_config.json: its text, or an object with it. */
function named(config: JsonObject, key: string): string | undefined {
  const value = config[key];
  const content = isObject(value) ? value.content : value;
  return typeof content === "string" ? content : undefined;
}

function setId(values: Map<string, GgufValue>, key: string, id: number | undefined): void {
  if (id !== undefined) values.set(key, { type: "u32", value: id });
}
