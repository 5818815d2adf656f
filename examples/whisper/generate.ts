import { argmax, GpuKvBinding, lowerHir, runBucketedKvDecode, runBucketedKvDecodeGpu, Tensor } from "rlxjs";
import { buildDecoder, type Past } from "./decoder.ts";
import { type CallOptions, type EncodedAudio, type Whisper, WhisperInputError } from "./whisper.ts";

export interface GenerateOptions extends CallOptions {
  /** Most new tokens of each recording. Default: until all positions are taken. */
  readonly maxTokens?: number;
  /** Tokens that end a recording. Default: those of the configuration. */
  readonly endIds?: readonly number[];
  /** Where keys and values are between the tokens: `device` (default), or `host`, which copies them to and from the device for every token. */
  readonly cache?: "device" | "host";
  /** Which graph decodes: see `Past`. Default `state`. */
  readonly form?: Past["form"];
}

/** One more token for each recording of the batch. */
export interface Step {
  /** The likeliest ones; a recording that has ended repeats its last token. */
  readonly ids: readonly number[];
  /** [B, vocab]: what they were chosen from. */
  readonly logits: Tensor;
}

/**
 * Greedy decoding of a batch of recordings, each from a prompt of its own, all of one length, until every one has ended. The first step is
 * the prompts' own; each further one runs the graph of the bucket that the length is in, on one token per recording.
 */
export async function* generate(
  model: Whisper,
  audio: EncodedAudio,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { config, weights } = model;
  const { batch, cross: crossAttn } = audio;
  const { signal, cache: place = "device", form = "state", endIds = config.endIds } = options;
  const room = config.decoder.positions - (prompts[0]?.length ?? 0);
  const { maxTokens = room } = options;
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 0 || maxTokens > room)
    throw new WhisperInputError(`maxTokens: expected a whole number from 0 to ${room}, got ${maxTokens}`);

  const { logits: prompt, kv } = await model.decodeAll(audio, prompts, { signal });
  const cache = model.bucketsOf(`${form} ${batch}`);
  const build = (upper: number) => {
    const module = buildDecoder(config, { batch, tokens: 1, past: { form, upper } });
    return { graph: lowerHir(module, (name) => weights.get(name)), params: {} };
  };
  using binding = new GpuKvBinding();
  let logits = lastRows(prompt);
  let ids: readonly number[] = [];
  for (let made = 0; made < maxTokens; made++) {
    const before = ids;
    ids = rowsOf(logits).map((row, i) => {
      const last = before[i];
      return last !== undefined && endIds.includes(last) ? last : argmax(row);
    });
    yield { ids, logits };
    if (made + 1 === maxTokens || ids.every((id) => endIds.includes(id))) return;
    const inputs = { input_ids: Int32Array.from(ids) };
    const step = { kv, cache, build, crossAttn, inputs, ...(signal ? { signal } : {}) };
    const result = await (place === "device" ? runBucketedKvDecodeGpu({ ...step, binding }) : runBucketedKvDecode(step));
    logits = lastRows(result.logits);
  }
}

/** Rows of [B, vocab]. */
const rowsOf = (logits: Tensor) => {
  const [batch = 0, vocab = 0] = logits.shape;
  const values = logits.values();
  return Array.from({ length: batch }, (_, i) => values.subarray(i * vocab, (i + 1) * vocab));
};

/** [B, T, vocab] to [B, vocab]: what follows the last tokens. */
function lastRows(logits: Tensor): Tensor {
  const [batch = 0, tokens = 0, vocab = 0] = logits.shape;
  const values = logits.values();
  const out = new Float32Array(batch * vocab);
  for (let i = 0; i < batch; i++) out.set(values.subarray(((i + 1) * tokens - 1) * vocab, (i + 1) * tokens * vocab), i * vocab);
  return new Tensor("f32", [batch, vocab], out);
}
