import { RlxError } from "@rlxjs/ir";

/** A prompt cache of another model, or a stored one that is damaged. */
export class PromptCacheError extends RlxError {
  constructor(message: string) {
    super("ERR_PROMPT_CACHE", `prompt cache: ${message}`);
  }
}
