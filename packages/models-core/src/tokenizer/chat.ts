import { Template } from "@huggingface/jinja";
import { TokenizerError } from "../errors.ts";
import { isObject, type JsonObject } from "../json.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A model's chat template (Jinja), which turns a conversation into a prompt. */
export class ChatTemplate {
  readonly source: string;
  readonly #file: string;
  readonly #template: Template;
  readonly #tokens: Record<string, string>;

  constructor(source: string, specialTokens: Readonly<Record<string, string>>, file: string) {
    this.source = source;
    this.#file = file;
    this.#tokens = specialTokens;
    this.#template = this.#guard(() => new Template(source));
  }

  /** The template of a tokenizer_config.json: a string, or a list of named ones of which `default` counts. */
  static from(config: JsonObject, file: string): ChatTemplate | undefined {
    const given = config.chat_template;
    const list = Array.isArray(given) ? given : [];
    const named = list.find((t) => isObject(t) && t.name === "default");
    const source = isObject(named) ? named.template : given;
    if (typeof source !== "string") return undefined;
    const tokens: Record<string, string> = {};
    for (const key of ["bos_token", "eos_token", "unk_token", "pad_token"]) {
      const value = config[key];
      const content = isObject(value) ? value.content : value;
      if (typeof content === "string") tokens[key] = content;
    }
    return new ChatTemplate(source, tokens, file);
  }

  render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string {
    return this.#guard(() => this.#template.render({ messages, add_generation_prompt: addGenerationPrompt, ...this.#tokens }));
  }

  #guard<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw new TokenizerError(this.#file, `chat template: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
