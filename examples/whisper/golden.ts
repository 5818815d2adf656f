import { openDirectory, openSafetensors, type Tensor } from "rlxjs";

/** What Hugging Face transformers computes from a checkpoint, in the file `golden.safetensors` beside it. */
export interface Golden {
  /** [B, melBins, 2 S]. */
  readonly features: Tensor;
  /** Encoder output [B, S, width]. */
  readonly hidden: Tensor;
  /** One list per recording. */
  readonly prompts: readonly (readonly number[])[];
  /** Of the prompts, [B, T, vocab]. */
  readonly logits: Tensor;
  /** How the first prompt goes on, by the likeliest tokens. */
  readonly greedyIds: readonly number[];
  /** What they were chosen from, [n, vocab]. */
  readonly greedyLogits: Tensor;
}

export async function readGolden(path: string): Promise<Golden | undefined> {
  const directory = await openDirectory(path);
  const source = await directory.open("golden.safetensors");
  if (!source) return undefined;
  using file = await openSafetensors(source);
  return {
    features: await file.tensor("input_features"),
    hidden: await file.tensor("encoder_hidden"),
    prompts: rowsOf(await file.tensor("decoder_ids")),
    logits: await file.tensor("logits"),
    greedyIds: (await file.tensor("greedy_ids")).toArray(),
    greedyLogits: await file.tensor("greedy_logits"),
  };
}

/** A tensor [rows, ...] as lists. */
export function rowsOf(tensor: Tensor): number[][] {
  const [rows = 0] = tensor.shape;
  const values = tensor.toArray();
  return Array.from({ length: rows }, (_, i) => values.slice((i * values.length) / rows, ((i + 1) * values.length) / rows));
}

/** Largest difference in units of the largest expected magnitude; NaN when the sizes differ or a value is NaN. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN;
  let [worst, peak] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN));
    worst = off <= worst ? worst : off; // NaN stays
    peak = Math.max(peak, Math.abs(expected[i] ?? 0));
  }
  return worst / peak;
}
