import { Tensor } from "rlxjs";
import { type GenerateOptions, generate, type Step } from "./generate.ts";
import { difference, type Golden, rowsOf } from "./golden.ts";
import type { CallOptions, EncodedAudio, Whisper } from "./whisper.ts";

/** How far off something may be, in units of the largest expected magnitude. */
export const tolerance = 1e-3;

/** What the model computes, beside what it should be. */
export interface Finding {
  readonly what: string;
  /** See `difference`. */
  readonly off: number;
  /** Of greedy decoding: how many of the tokens are the expected ones. */
  readonly tokens?: { readonly same: number; readonly of: number };
}

export const holds = ({ off, tokens }: Finding): boolean => off <= tolerance && tokens?.same === tokens?.of;

/** Every way to keep keys and values between the tokens. */
export const forms: readonly Required<Pick<GenerateOptions, "cache" | "form">>[] = (["device", "host"] as const).flatMap((cache) =>
  (["state", "concat"] as const).map((form) => ({ cache, form })),
);

/**
 * Compare a model with what transformers computes from its checkpoint: the encoder, whole prompts, and greedy decoding in every form, of the first
 * recording alone and of all at once. Of the other recordings the greedy tokens are not known: they are held to a recomputation of everything.
 */
export async function* compare(model: Whisper, golden: Golden, { signal }: CallOptions = {}): AsyncGenerator<Finding, void, undefined> {
  const { features, prompts, greedyIds, greedyLogits } = golden;
  const count = prompts.length;
  const all = await model.encode(features, { signal });
  yield { what: `encoder, ${count} recordings`, off: difference(all.hidden.values(), golden.hidden.values()) };
  const { logits } = await model.decodeAll(all, prompts, { signal });
  yield { what: `decoder, ${count} prompts`, off: difference(logits.values(), golden.logits.values()) };

  const [first = []] = rowsOf(features);
  const alone = await model.encode(Tensor.from("f32", [1, ...features.shape.slice(1)], first), { signal });
  const options = { maxTokens: greedyIds.length, endIds: [], signal };
  for (const [audio, texts] of [[alone, prompts.slice(0, 1)] as const, [all, prompts] as const])
    for (const how of forms) {
      const steps: Step[] = [];
      for await (const step of generate(model, audio, texts, { ...options, ...how })) steps.push(step);
      const what = `greedy, ${audio.batch} at once, ${how.form === "state" ? "states" : "inputs"} on the ${how.cache}`;
      const same = steps.filter(({ ids }, i) => ids[0] === greedyIds[i]).length;
      const off = difference(logitsOf(steps, 0), greedyLogits.values());
      yield { what, off, tokens: { same, of: greedyIds.length } };
      for (let i = 1; i < audio.batch; i++)
        yield { what: `${what}, recording ${i + 1}`, off: await offFromRecomputed(model, audio, texts, steps, i, { signal }) };
    }
}

/** How far the logits of one recording's generation are from a recomputation of everything. */
export async function offFromRecomputed(
  model: Whisper,
  audio: EncodedAudio,
  prompts: readonly (readonly number[])[],
  steps: readonly Step[],
  recording: number,
  options: CallOptions = {},
): Promise<number> {
  const texts = prompts.map((prompt, i) => [...prompt, ...steps.slice(0, -1).map(({ ids }) => ids[i] ?? -1)]);
  const { logits } = await model.decodeAll(audio, texts, options);
  const rows = rowsOf(logits)[recording] ?? [];
  const made = logitsOf(steps, recording);
  return difference(made, rows.slice(rows.length - made.length));
}

const logitsOf = (steps: readonly Step[], recording: number): number[] => steps.flatMap(({ logits }) => rowsOf(logits)[recording] ?? []);
