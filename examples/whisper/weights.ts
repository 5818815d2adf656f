import { type Directory, isFloat, ModelFileError, openSafetensorsDirectory, WeightStore } from "rlxjs";
import type { StackConfig, WhisperConfig } from "./config.ts";

type Shapes = Record<string, readonly number[]>;

/** Name and shape of every tensor that the graphs use, as Hugging Face transformers stores them. */
export function weightShapes({ width, melBins, vocab, tied, encoder, decoder }: WhisperConfig): Shapes {
  const norm = (name: string): Shapes => ({ [`${name}.weight`]: [width], [`${name}.bias`]: [width] });
  const linear = (name: string, rows: number, columns: number): Shapes => ({
    [`${name}.weight`]: [rows, columns],
    [`${name}.bias`]: [rows],
  });
  const attention = (name: string): Shapes => ({
    ...linear(`${name}.q_proj`, width, width),
    [`${name}.k_proj.weight`]: [width, width], // a bias of keys would add the same to every score of a row
    ...linear(`${name}.v_proj`, width, width),
    ...linear(`${name}.out_proj`, width, width),
    ...norm(`${name}_layer_norm`),
  });
  const stack = (half: string, { layers, ffn, positions }: StackConfig, attentions: readonly string[]): Shapes => {
    const shapes: Shapes = { [`${half}.embed_positions.weight`]: [positions, width], ...norm(`${half}.layer_norm`) };
    for (let i = 0; i < layers; i++) {
      const layer = `${half}.layers.${i}`;
      for (const name of attentions) Object.assign(shapes, attention(`${layer}.${name}`));
      const feedForward = { ...linear(`${layer}.fc1`, ffn, width), ...linear(`${layer}.fc2`, width, ffn) };
      Object.assign(shapes, feedForward, norm(`${layer}.final_layer_norm`));
    }
    return shapes;
  };
  return {
    "model.encoder.conv1.weight": [width, melBins, 3],
    "model.encoder.conv1.bias": [width],
    "model.encoder.conv2.weight": [width, width, 3],
    "model.encoder.conv2.bias": [width],
    ...stack("model.encoder", encoder, ["self_attn"]),
    "model.decoder.embed_tokens.weight": [vocab, width],
    ...stack("model.decoder", decoder, ["self_attn", "encoder_attn"]),
    ...(tied ? {} : { "proj_out.weight": [vocab, width] }),
  };
}

/**
 * The weights of `model.safetensors` or of its shards, in the dtypes that they are stored in; views of the files where those are mapped.
 * ModelFileError for a tensor that is missing, has another shape than the configuration says, or does not hold floats.
 */
export async function openWeights(directory: Directory, config: WhisperConfig): Promise<WeightStore> {
  const checkpoint = await openSafetensorsDirectory(directory);
  try {
    const shapes = Object.entries(weightShapes(config));
    // The model without its head is stored without the prefix.
    const storedAs = (name: string): string => [name, name.replace(/^model\./, "")].find((n) => checkpoint.has(n)) ?? name;
    for (const [name, shape] of shapes) {
      const stored = checkpoint.info(storedAs(name));
      if (`${stored.shape}` !== `${shape}` || !stored.dtype || !isFloat(stored.dtype))
        throw new ModelFileError({
          file: checkpoint.file,
          tensor: name,
          expected: `floats [${shape}]`,
          given: `${stored.storedAs} [${stored.shape}]`,
        });
    }
    const entries = await Promise.all(shapes.map(async ([name]) => [name, await checkpoint.tensor(storedAs(name))] as const));
    return new WeightStore(entries, { onRelease: () => checkpoint[Symbol.dispose]() });
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}
