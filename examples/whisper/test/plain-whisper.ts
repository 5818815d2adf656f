import type { Tensor } from "rlxjs";
import type { WhisperConfig } from "../config.ts";

/*
 * Whisper in plain loops and double precision, for one recording, without anything of rlxjs but the weights' values: what the graphs
 * are compared with where transformers has no say. Matrices are row-major, [rows, width] unless said otherwise.
 */
type Matrix = Float64Array;
type Weights = (name: string) => Tensor | undefined;

export class PlainWhisper {
  readonly #config: WhisperConfig;
  readonly #weights: Weights;

  constructor(config: WhisperConfig, weights: Weights) {
    this.#config = config;
    this.#weights = weights;
  }

  /** Features [melBins, 2 S] to hidden rows [S, width]. */
  encode(features: ArrayLike<number>): Matrix {
    const { width, melBins, encoder } = this.#config;
    const first = this.#convolve(Float64Array.from(features), melBins, 1, "conv1");
    const second = this.#convolve(first, width, 2, "conv2");
    const positions = this.#weight("model.encoder.embed_positions.weight");
    let x = Float64Array.from(positions, (p, i) => p + at(second, (i % width) * encoder.positions + Math.floor(i / width)));
    for (let i = 0; i < encoder.layers; i++) {
      const layer = `model.encoder.layers.${i}`;
      const normed = this.#norm(x, `${layer}.self_attn_layer_norm`);
      x = add(x, this.#attention(normed, normed, `${layer}.self_attn`, encoder.heads, false));
      x = add(x, this.#feedForward(this.#norm(x, `${layer}.final_layer_norm`), layer));
    }
    return this.#norm(x, "model.encoder.layer_norm");
  }

  /** Logits [T, vocab] of T tokens. */
  decode(hidden: Matrix, ids: readonly number[]): Matrix {
    const { width, decoder, tied } = this.#config;
    const tokens = this.#weight("model.decoder.embed_tokens.weight");
    const positions = this.#weight("model.decoder.embed_positions.weight");
    let x = Float64Array.from(
      { length: ids.length * width },
      (_, i) => at(tokens, at(ids, Math.floor(i / width)) * width + (i % width)) + at(positions, i),
    );
    for (let i = 0; i < decoder.layers; i++) {
      const layer = `model.decoder.layers.${i}`;
      const normed = this.#norm(x, `${layer}.self_attn_layer_norm`);
      x = add(x, this.#attention(normed, normed, `${layer}.self_attn`, decoder.heads, true));
      x = add(x, this.#attention(this.#norm(x, `${layer}.encoder_attn_layer_norm`), hidden, `${layer}.encoder_attn`, decoder.heads, false));
      x = add(x, this.#feedForward(this.#norm(x, `${layer}.final_layer_norm`), layer));
    }
    return product(this.#norm(x, "model.decoder.layer_norm"), tied ? tokens : this.#weight("proj_out.weight"), width);
  }

  #weight(name: string): Matrix {
    const values = this.#weights(name)?.values();
    if (!values) throw new Error(`no weight ${name}`);
    return Float64Array.from(values);
  }
  #linear(x: Matrix, columns: number, name: string, bias = true): Matrix {
    const y = product(x, this.#weight(`${name}.weight`), columns);
    if (!bias) return y;
    const b = this.#weight(`${name}.bias`);
    return y.map((v, i) => v + at(b, i % b.length));
  }
  #norm(x: Matrix, name: string): Matrix {
    const { width } = this.#config;
    const [w, b] = [this.#weight(`${name}.weight`), this.#weight(`${name}.bias`)];
    const out = new Float64Array(x.length);
    for (let row = 0; row < x.length; row += width) {
      const values = x.subarray(row, row + width);
      const mean = values.reduce((sum, v) => sum + v, 0) / width;
      const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width;
      for (let i = 0; i < width; i++) out[row + i] = ((at(values, i) - mean) / Math.sqrt(variance + 1e-5)) * at(w, i) + at(b, i);
    }
    return out;
  }
  #feedForward(x: Matrix, layer: string): Matrix {
    const { width, activation } = this.#config;
    const fed = this.#linear(x, width, `${layer}.fc1`).map(activations[activation]);
    return this.#linear(fed, this.#weight(`${layer}.fc1.bias`).length, `${layer}.fc2`);
  }
  #attention(x: Matrix, source: Matrix, name: string, heads: number, causal: boolean): Matrix {
    const { width } = this.#config;
    const dim = width / heads;
    const q = this.#linear(x, width, `${name}.q_proj`);
    const k = this.#linear(source, width, `${name}.k_proj`, false);
    const v = this.#linear(source, width, `${name}.v_proj`);
    const out = new Float64Array(x.length);
    for (let row = 0; row < x.length / width; row++)
      for (let head = 0; head < width; head += dim) {
        const seen = causal ? row + 1 : source.length / width;
        const weights = Array.from({ length: seen }, (_, j) => {
          let score = 0;
          for (let d = 0; d < dim; d++) score += at(q, row * width + head + d) * at(k, j * width + head + d);
          return Math.exp(score / Math.sqrt(dim));
        });
        const total = weights.reduce((a, b) => a + b, 0);
        for (let d = 0; d < dim; d++)
          out[row * width + head + d] = weights.reduce((sum, w, j) => sum + w * at(v, j * width + head + d), 0) / total;
      }
    return this.#linear(out, width, `${name}.out_proj`);
  }
  /** gelu(convolution) of [channels, length] with three taps and a zero on both sides, to [width, length / stride]. */
  #convolve(x: Matrix, channels: number, stride: number, name: string): Matrix {
    const { width } = this.#config;
    const length = x.length / channels;
    const [w, b] = [this.#weight(`model.encoder.${name}.weight`), this.#weight(`model.encoder.${name}.bias`)];
    return Float64Array.from({ length: (width * length) / stride }, (_, i) => {
      const [o, p] = [Math.floor((i * stride) / length), (i % (length / stride)) * stride];
      let sum = at(b, o);
      for (let c = 0; c < channels; c++)
        for (let tap = 0; tap < 3; tap++) {
          const from = p + tap - 1;
          if (from >= 0 && from < length) sum += at(w, (o * channels + c) * 3 + tap) * at(x, c * length + from);
        }
      return activations.gelu(sum);
    });
  }
}

const at = (list: ArrayLike<number>, i: number): number => list[i] ?? Number.NaN;
const add = (a: Matrix, b: Matrix): Float64Array<ArrayBuffer> => Float64Array.from(a, (v, i) => v + at(b, i));

/** x [m, k] times w [n, k] transposed. */
function product(x: Matrix, w: Matrix, k: number): Matrix {
  const n = w.length / k;
  return Float64Array.from({ length: (x.length / k) * n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += at(x, Math.floor(i / n) * k + j) * at(w, (i % n) * k + j);
    return sum;
  });
}

/** The power series of erf; beyond 4 it is 1 to eight digits. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const activations: Readonly<Record<WhisperConfig["activation"], (x: number) => number>> = {
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(x, 0),
  silu: (x) => x / (1 + Math.exp(-x)),
};
