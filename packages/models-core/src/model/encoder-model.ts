import { dim, RlxError, Tensor } from "@rlxjs/ir";
import type { Session, WeightStore } from "@rlxjs/runtime";
import type { ModelConfig } from "../config/model-config.ts";
import type { Family } from "../families/index.ts";
import { checkIds } from "./check-ids.ts";
import { GraphSet } from "./graph-set.ts";

/** Texts that one run encodes. */
const batchSize = 8;

export interface Encoding {
  /** [n, hidden]: one row per token, padding left out. */
  readonly lastHiddenState: Tensor;
  /** [hidden]: the mean of these rows. */
  readonly meanPooled: Float32Array<ArrayBuffer>;
}

/** An encoder on a device. */
export class EncoderModel implements Disposable {
  readonly graphs: GraphSet<"encode">;
  readonly #config: ModelConfig;

  constructor(config: ModelConfig, family: Family & { kind: "encoder" }, session: Session, weights: WeightStore) {
    this.#config = config;
    const batch = dim("batch", { min: 1, max: batchSize });
    const seq = dim("seq", { min: 1, max: config.maxPositions });
    this.graphs = new GraphSet(session, weights, (kind) => family.build(config, { name: `${config.architecture}.${kind}`, batch, seq }));
  }

  /** Encode token lists; they are padded to the longest of a batch and masked, so that the company of a text does not change it. */
  async encode(texts: readonly (readonly number[])[], signal?: AbortSignal): Promise<Encoding[]> {
    for (const ids of texts) this.#check(ids);
    const out: Encoding[] = [];
    for (let i = 0; i < texts.length; i += batchSize) out.push(...(await this.#batch(texts.slice(i, i + batchSize), signal)));
    return out;
  }

  async #batch(texts: readonly (readonly number[])[], signal?: AbortSignal): Promise<Encoding[]> {
    const width = Math.max(...texts.map((t) => t.length));
    const ids = new Int32Array(texts.length * width).fill(this.#config.padTokenId ?? 0);
    const mask = new Uint8Array(texts.length * width);
    for (const [row, text] of texts.entries()) {
      ids.set(text, row * width);
      mask.fill(1, row * width, row * width + text.length);
    }
    const shape = [texts.length, width];
    const inputs = { input_ids: new Tensor("i32", shape, ids), attention_mask: new Tensor("bool", shape, mask) };
    const { last_hidden_state: rows, mean_pooled: means } = await this.graphs.run("encode", { inputs, signal });
    const size = this.#config.hiddenSize;
    return texts.map((text, row) => ({
      lastHiddenState: new Tensor("f32", [text.length, size], part(rows, row * width * size, text.length * size)),
      meanPooled: part(means, row * size, size),
    }));
  }

  #check(ids: readonly number[]): void {
    const { maxPositions, vocabSize } = this.#config;
    if (ids.length === 0 || ids.length > maxPositions)
      throw new RlxError("ERR_CONTEXT_LENGTH", `text: expected 1 to ${maxPositions} tokens, got ${ids.length}`);
    checkIds(ids, vocabSize);
  }

  [Symbol.dispose](): void {
    this.graphs[Symbol.dispose]();
  }
}

function part(tensor: Tensor | undefined, start: number, length: number): Float32Array<ArrayBuffer> {
  if (!(tensor?.data instanceof Float32Array)) throw new RlxError("ERR_OUTPUT", "expected an f32 output");
  return tensor.data.slice(start, start + length);
}
