import { AttrError } from "../errors.ts";
import { type KvBits, type KvCodec, kvCodec } from "../kv-codec/codec.ts";
import { expectRows, type FwhtSigns, rotateRows } from "../ops/fwht.ts";
import { decodeStore } from "../ops/kv-dequantize.ts";
import { inferKvQuantize, type KvStore, runKvQuantize } from "../ops/kv-quantize-rules.ts";
import { shown } from "../shown.ts";
import type { Tensor } from "../tensor.ts";
import { type Args, checkNames, flag, natural, tensor } from "../named-args.ts";
import type { KvQuantizeSpec } from "./quantize-table.ts";
import { expectDType, int, part } from "./tensors.ts";

// Named quantizers, decoders and rotations on tensors: arguments are checked, tensors are seen in the shapes that the op has, and its
// reference does the rest.

/** Names of a store and its source, for K and V or for the only one. */
export const storesOf = (dual: boolean): readonly { readonly x: string; readonly packed: string; readonly norms: string }[] =>
  dual
    ? ["K", "V"].map((s) => ({ x: `src${s}`, packed: `packed${s}`, norms: `norms${s}` }))
    : [{ x: "src", packed: "packed", norms: "norms" }];

/** Names of arguments that choose a codec or say where tokens lie. */
export const codecNames = (bits: readonly KvBits[]): string[] => ["codec", "scaleFactorD512", ...(bits.length > 1 ? ["codebookBits"] : [])];

/** The codec that arguments choose. */
export function codecOf(op: string, bits: readonly KvBits[], args: Args, headDim: number): KvCodec {
  const { codec = "mlx-native-v1", codebookBits = bits.length > 1 ? undefined : bits[0], scaleFactorD512 = 1 } = args;
  const chosen = bits.find((b) => b === codebookBits);
  if (chosen === undefined) throw new AttrError(op, `codebookBits: expected one of ${bits.join(", ")}, got ${shown(codebookBits)}`);
  if (scaleFactorD512 !== 1) throw new AttrError(op, `scaleFactorD512: expected 1 (bare), got ${shown(scaleFactorD512)}`);
  return kvCodec(codec as KvCodec["id"], chosen, headDim, op);
}

export const codecName = ({ id, bits }: KvCodec): string => `${id}:${bits}`;

/** A store's memory in the shapes that the op has. */
function storeOf(
  op: string,
  codec: KvCodec,
  args: Args,
  names: { packed: string; norms: string },
  heads: number,
  capacity: number,
): KvStore<Tensor> {
  const [packed, norms] = [tensor(op, args, names.packed), tensor(op, args, names.norms)];
  expectDType(op, names.packed, packed, ["u8"]);
  expectDType(op, names.norms, norms, ["f32"]);
  return {
    packed: part(op, names.packed, packed, "u8", [1, heads, capacity, codec.packedBytes]),
    norms: part(op, names.norms, norms, "f32", [1, heads, capacity, codec.norms]),
  };
}

const extentNames = ["numKvHeads", "headDim", "cacheCapacity"];

/** Run a named quantizer. */
export function quantizeTensors(op: string, { range, bits, dual }: KvQuantizeSpec, given: unknown): void {
  const stores = storesOf(dual);
  const places = range ? ["writePosStart", "nTokens", "srcTokOffset", "trim"] : ["writePos"];
  const args = checkNames(
    op,
    [...stores.flatMap((s) => Object.values(s)), ...extentNames, ...places, "isSliding", ...codecNames(bits)],
    given,
  );
  const [heads, headDim, capacity] = [natural(op, args, "numKvHeads"), natural(op, args, "headDim"), natural(op, args, "cacheCapacity")];
  const posName = range ? "writePosStart" : "writePos";
  const pos = natural(op, args, posName);
  const tokens = range ? natural(op, args, "nTokens") : 1;
  const offset = range ? natural(op, args, "srcTokOffset", 0) : 0;
  const attrs = {
    layout: "head" as const,
    xLayout: "token" as const,
    ring: flag(op, args, "isSliding"),
    trim: range && flag(op, args, "trim"),
  };
  if (heads * headDim === 0) return;
  const codec = codecOf(op, bits, args, headDim);
  if (tokens === 0) return;
  const at = { pos: int(pos), tokens: int(tokens), srcTokOffset: int(offset), names: { pos: posName, tokens: "nTokens" } };
  const targets = stores.map((names) => {
    const src = tensor(op, args, names.x);
    expectDType(op, names.x, src, ["f32"]);
    const x = part(op, names.x, src, "f32", [1, offset + tokens, heads * headDim]);
    const store = storeOf(op, codec, args, names, heads, capacity);
    const target = { names: { ...names, codec: "codec" }, ...store, x, codec: codecName(codec), headDim };
    inferKvQuantize(op, target, at, attrs);
    return { ...target, out: store };
  });
  runKvQuantize(op, targets, at, attrs);
}

/** Run a named decoder: positions from readPos on into dst [nTokens, numKvHeads, headDim], in the rotated domain. */
export function dequantizeTensors(op: string, bits: readonly KvBits[], given: unknown): void {
  const names = ["packed", "norms", "dst", ...extentNames, "readPos", "nTokens", "isSliding", ...codecNames(bits)];
  const args = checkNames(op, names, given);
  const [heads, headDim, capacity] = [natural(op, args, "numKvHeads"), natural(op, args, "headDim"), natural(op, args, "cacheCapacity")];
  const [pos, tokens, ring] = [natural(op, args, "readPos"), natural(op, args, "nTokens", 1), flag(op, args, "isSliding")];
  if (heads * headDim * tokens === 0) return;
  const codec = codecOf(op, bits, args, headDim);
  const store = storeOf(op, codec, args, { packed: "packed", norms: "norms" }, heads, capacity);
  const dst = tensor(op, args, "dst");
  expectDType(op, "dst", dst, ["f32"]);
  const out = part(op, "dst", dst, "f32", [1, tokens, heads * headDim]);
  const at = { pos: int(pos), names: { pos: "readPos", tokens: "nTokens" } };
  decodeStore(op, store, at, { codec: codecName(codec), headDim, layout: "head", domain: "rotated", ring }, out);
}

/** Run a named rotation of data [numHeads, headDim], in place. */
export function rotateTensors(op: string, signs: FwhtSigns, given: unknown): void {
  const args = checkNames(op, ["data", "numHeads", "headDim"], given);
  const [data, heads, headDim] = [tensor(op, args, "data"), natural(op, args, "numHeads"), natural(op, args, "headDim")];
  expectDType(op, "data", data, ["f32"]);
  if (heads * headDim === 0) return;
  const rows = part(op, "data", data, "f32", [heads, headDim]);
  expectRows(op, "data", rows, signs);
  rotateRows(rows, signs);
}
