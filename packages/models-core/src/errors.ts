import { RlxError } from "@rlxjs/ir";

export interface ModelFileIssue {
  readonly file: string;
  /** The tensor or metadata key that the file describes wrongly, if it is about one. */
  readonly tensor?: string | undefined;
  readonly expected: string;
  readonly given: string;
}

/** A model file that is damaged, hostile, or holds something that is not supported. */
export class ModelFileError extends RlxError {
  readonly file: string;
  readonly tensor: string | undefined;
  readonly expected: string;
  readonly given: string;
  constructor(issue: ModelFileIssue) {
    const where = issue.tensor === undefined ? issue.file : `${issue.file}: ${quote(issue.tensor)}`;
    super("ERR_MODEL_FILE", `${where}: expected ${issue.expected}, got ${issue.given}`);
    this.file = issue.file;
    this.tensor = issue.tensor;
    this.expected = issue.expected;
    this.given = issue.given;
  }
}

/** A setting of a model (config.json or GGUF metadata) that is missing, malformed, or not supported. */
export class ModelConfigError extends RlxError {
  readonly file: string;
  readonly field: string;
  constructor(file: string, field: string, expected: string, given: string) {
    super("ERR_MODEL_CONFIG", `${file}: ${field}: expected ${expected}, got ${given}`);
    this.file = file;
    this.field = field;
  }
}

/** A format of the KV cache that does not exist, or that the model's layers cannot use. */
export class KvCacheError extends RlxError {
  constructor(option: string, expected: string, given: string) {
    super("ERR_KV_CACHE", `${option}: expected ${expected}, got ${given}`);
  }
}

/** A tokenizer that cannot be built from what the model has, or ids that it does not know. */
export class TokenizerError extends RlxError {
  constructor(file: string, message: string) {
    super("ERR_TOKENIZER", `${file}: ${message}`);
  }
}

/** A name from a file, safe to print: bounded, and with control characters escaped. */
export const quote = (text: string): string => JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}...` : text);

/** Any value from a file, short enough for one line. */
export function show(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "bigint") return `${value}`;
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}
