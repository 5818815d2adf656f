import { type Directory, type JsonObject, ModelConfigError, ModelFileError, readJsonFile } from "rlxjs";

/** One of the two halves of the model. */
export interface StackConfig {
  readonly layers: number;
  readonly heads: number;
  /** Width of the feed-forward layers. */
  readonly ffn: number;
  /** Rows of the table of positions: the most positions that it can take. */
  readonly positions: number;
}

/** What the graphs are built from. */
export interface WhisperConfig {
  /** Width of both halves. */
  readonly width: number;
  readonly melBins: number;
  readonly vocab: number;
  readonly activation: "gelu" | "gelu_tanh" | "relu" | "silu";
  /** Whether the logits come from the token embedding, or from a matrix of their own. */
  readonly tied: boolean;
  readonly encoder: StackConfig;
  readonly decoder: StackConfig;
  /** The token that a transcript begins with. */
  readonly startId: number;
  /** Tokens that end it. */
  readonly endIds: readonly number[];
}

const file = "config.json";
/** By the names of Hugging Face transformers; `gelu` is the one with erf. */
const activations: Readonly<Record<string, WhisperConfig["activation"]>> = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};

/** Read config.json as Hugging Face transformers writes it. ModelConfigError names the first field that is not as it must be. */
export async function readConfig(directory: Directory): Promise<WhisperConfig> {
  const json = await readJsonFile(directory, file);
  if (!json) throw new ModelFileError({ file: directory.name, expected: file, given: "no such file" });
  return parseConfig(json);
}

export function parseConfig(json: JsonObject): WhisperConfig {
  const fail = (field: string, expected: string): ModelConfigError =>
    new ModelConfigError(file, field, expected, JSON.stringify(json[field]) ?? "nothing");
  const count = (field: string, min = 1): number => {
    const value = json[field];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > 2 ** 31)
      throw fail(field, `an integer from ${min} to 2^31`);
    return value;
  };
  if (json.model_type !== "whisper") throw fail("model_type", `"whisper"`);
  const width = count("d_model");
  const stack = (half: "encoder" | "decoder", positions: string): StackConfig => {
    const heads = count(`${half}_attention_heads`);
    if (width % heads !== 0) throw fail(`${half}_attention_heads`, `a divisor of d_model ${width}`);
    return { layers: count(`${half}_layers`), heads, ffn: count(`${half}_ffn_dim`), positions: count(positions) };
  };
  const named = json.activation_function ?? "gelu";
  const activation = typeof named === "string" && Object.hasOwn(activations, named) ? activations[named] : undefined;
  if (!activation) throw fail("activation_function", `one of ${Object.keys(activations).join(", ")}`);
  const tied = json.tie_word_embeddings ?? true;
  if (typeof tied !== "boolean") throw fail("tie_word_embeddings", "true or false");
  const ends = [json.eos_token_id ?? []].flat();
  const endIds = ends.filter((id): id is number => typeof id === "number" && Number.isSafeInteger(id) && id >= 0);
  if (endIds.length !== ends.length) throw fail("eos_token_id", "a token id, or a list of them");
  return {
    width,
    melBins: count("num_mel_bins"),
    vocab: count("vocab_size"),
    activation,
    tied,
    encoder: stack("encoder", "max_source_positions"),
    decoder: stack("decoder", "max_target_positions"),
    startId: count("decoder_start_token_id", 0),
    endIds,
  };
}
