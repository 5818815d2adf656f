import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { show, TokenizerError } from "../errors.ts";
import { isObject, type Json, type JsonObject } from "../json.ts";
import { ChatTemplate, type ChatMessage } from "./chat.ts";

export interface EncodeOptions {
  /** Add what the model expects around a text, such as a BOS token. Default true. */
  readonly addSpecialTokens?: boolean;
}
export interface DecodeOptions {
  /** Leave out tokens such as BOS and EOS. Default true. */
  readonly skipSpecialTokens?: boolean;
}

/** A model's tokenizer, built from `tokenizer.json` and, when there is one, `tokenizer_config.json`. */
export class Tokenizer {
  /** Ids are below this; some may be unused. */
  readonly vocabSize: number;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  readonly specialIds: ReadonlySet<number>;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly #file: string;
  readonly #inner: HfTokenizer;

  constructor(json: JsonObject, config: JsonObject = {}, file = "tokenizer.json") {
    if (!isObject(json.model)) throw new TokenizerError(file, `expected a model, got ${show(json.model)}`);
    this.#file = file;
    this.#inner = build(file, json, config);
    const special = specialTokens(json);
    this.specialIds = new Set(special.values());
    const named = (key: string): number | undefined => {
      const value = config[key];
      const content = isObject(value) ? value.content : value;
      return typeof content === "string" ? this.tokenToId(content) : undefined;
    };
    this.bosTokenId = named("bos_token");
    this.eosTokenId = named("eos_token");
    this.padTokenId = named("pad_token");
    let size = 0;
    for (const id of this.#inner.get_vocab(true).values()) size = Math.max(size, id + 1);
    this.vocabSize = size;
    this.chatTemplate = ChatTemplate.from(config, file);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    return this.#inner.encode(text, { add_special_tokens: options.addSpecialTokens ?? true }).ids;
  }

  /** The text of token ids. Bytes that are not UTF-8 become U+FFFD; see StreamDecoder for text that is still growing. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const known = ids.map((id) => {
      if (this.#inner.id_to_token(id) === undefined)
        throw new TokenizerError(this.#file, `expected token ids of the vocabulary (${this.vocabSize} ids), got ${id}`);
      return id;
    });
    // The library refuses an empty list.
    if (known.length === 0) return "";
    return this.#inner.decode(known, { skip_special_tokens: options.skipSpecialTokens ?? true, clean_up_tokenization_spaces: false });
  }

  tokenToId(token: string): number | undefined {
    return this.#inner.token_to_id(token);
  }
  /** The token as the vocabulary spells it, such as `Ġthe`. */
  idToToken(id: number): string | undefined {
    return this.#inner.id_to_token(id);
  }

  /** The prompt of a conversation, by the model's own template; ready for `encode(prompt, { addSpecialTokens: false })`. */
  applyChatTemplate(messages: readonly ChatMessage[], options: { readonly addGenerationPrompt?: boolean } = {}): string {
    if (!this.chatTemplate) throw new TokenizerError(this.#file, "expected a chat template, got a model without one");
    return this.chatTemplate.render(messages, options.addGenerationPrompt ?? true);
  }
}

function build(file: string, json: JsonObject, config: JsonObject): HfTokenizer {
  try {
    return new HfTokenizer(json, config);
  } catch (error) {
    throw new TokenizerError(file, `cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function specialTokens(json: JsonObject): Map<string, number> {
  const out = new Map<string, number>();
  const added: readonly Json[] = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  for (const t of added)
    if (isObject(t) && t.special === true && typeof t.content === "string" && typeof t.id === "number") out.set(t.content, t.id);
  return out;
}
