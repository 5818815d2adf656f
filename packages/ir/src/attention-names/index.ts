import { type Builder, graphBuilder, type Value } from "../builder.ts";
import { type Dim, dimEquals } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { evaluateGraph } from "../evaluate.ts";
import { type Args, checkNames, flag, graphValue, namedForms, placeOf } from "../named-args.ts";
import { showType } from "../shape.ts";
import { shown } from "../shown.ts";
import { Tensor } from "../tensor.ts";
import { type AttentionArgs, type AttentionForm, type AttentionName, attentionForms } from "./table.ts";

export { attentionNameRows, renderAttentionNames } from "./docs.ts";
export { type AttentionArgs, type AttentionName, attentionForms } from "./table.ts";

/**
 * Attention by the name and with the arguments of a kernel of the reference, as the op `attention` defines it: positions are absolute, a
 * window of W keys is W keys, softcap is applied, slots that hold no key are not read. q and the result are [B, nHeads, qL, headDim],
 * caches head-major.
 *
 * On a builder: a few nodes around one `attention`. On tensors: the reference's result.
 * @throws AttrError for arguments that are unknown, missing or of the wrong kind; ShapeError for shapes and dtypes; RunError for lengths
 * and ring starts that the cache does not have.
 */
export interface NamedAttention<N extends AttentionName> {
  (g: Builder, args: AttentionArgs<N, Value>): Value;
  (args: AttentionArgs<N, Tensor>): Tensor;
}

/** Names of the arguments that are tensors. */
const operandsOf = ({ codes, mask }: AttentionForm): readonly string[] => [
  "q",
  ...(codes === undefined ? ["k", "v"] : ["kPacked", "kNorms", "vPacked", "vNorms"]),
  ...(mask ? ["mask"] : []),
];
/** Names of the arguments that are numbers, or values of a graph. */
const placesOf = ({ codes, offset }: AttentionForm): readonly string[] => [
  "kvSeqLen",
  ...(codes === undefined ? [] : ["ringStart"]),
  ...(offset ? ["qOffsetInK"] : []),
];
const settingsOf = ({ causal, window, maskType, softcap, codes }: AttentionForm): readonly string[] => [
  "scale",
  ...(causal === "doCausal" ? ["doCausal"] : []),
  ...(window === undefined ? [] : [window]),
  ...(maskType ? ["maskType"] : []),
  ...(softcap ? ["softcap"] : []),
  ...(codes === undefined ? [] : ["codec"]),
  ...(codes === "codebookBits" ? ["codebookBits"] : []),
];

/** Everything that a form takes. */
const argsOf = (name: string, form: AttentionForm, given: unknown): Args =>
  checkNames(name, [...operandsOf(form), ...placesOf(form), ...settingsOf(form)], given);

/** On tensors: a graph of its own, evaluated. */
function attendTensors(name: string, form: AttentionForm, given: unknown): Tensor | undefined {
  const args = argsOf(name, form, given);
  const tensors = [...operandsOf(form), ...placesOf(form)].flatMap((key): [string, Tensor][] => {
    const value = args[key];
    return value instanceof Tensor ? [[key, value]] : [];
  });
  const g = graphBuilder(name);
  const inputs = tensors.map(([key, t]): [string, Value] => [key, g.input(key, t.dtype, t.shape)]);
  g.output("out", attend(g, name, form, { ...args, ...Object.fromEntries(inputs) }));
  return evaluateGraph(g.build(), { inputs: Object.fromEntries(tensors) }).out;
}

function attend(g: Builder, op: string, form: AttentionForm, args: Args): Value {
  const q = graphValue(op, args, "q");
  const [batch = 1, numHeads = 1, queries = 1, headDim = 1] = q.shape;
  const coded = form.codes !== undefined;
  const [k, v] = [graphValue(op, args, coded ? "kPacked" : "k"), graphValue(op, args, coded ? "vPacked" : "v")];
  const numKvHeads = k.shape[1] ?? 1;
  for (const [what, t] of Object.entries({ q, k, v })) {
    if (t.shape.length !== 4) throw new ShapeError(op, `${what}: expected 4 axes, got ${showType(t.type)}`);
    if (form.dtype !== undefined && t.dtype !== form.dtype)
      throw new ShapeError(op, `${what}: expected dtype ${form.dtype}, got ${showType(t.type)}`);
  }
  if (typeof numHeads !== "number" || typeof numKvHeads !== "number" || typeof headDim !== "number")
    throw new ShapeError(op, `q, k: expected numbers of heads and a headDim, got ${showType(q.type)} and ${showType(k.type)}`);
  if (form.decode && !dimEquals(queries, 1)) throw new ShapeError(op, `q: expected one query a sequence, got ${showType(q.type)}`);
  if (form.offset && args.qOffsetInK === undefined) throw new AttrError(op, "qOffsetInK: expected a value or a number, got nothing");
  const codec = coded ? `${args.codec ?? "mlx-native-v1"}:${form.codes === "codebookBits" ? args.codebookBits : form.codes}` : undefined;
  const mask = args.mask === undefined ? undefined : graphValue(op, args, "mask");
  const tokens = g.reshape(g.transpose(q, { perm: [0, 2, 1, 3] }), { shape: [batch, queries, numHeads * headDim] });
  const out = g.attention(tokens, k, v, {
    mask,
    maskKind: mask ? "bias" : "none",
    kvLen: placeOf(g, op, args, "kvSeqLen"),
    qPos: placeOf(g, op, args, "qOffsetInK"),
    ringStart: placeOf(g, op, args, "ringStart"),
    ...(coded ? { kNorms: graphValue(op, args, "kNorms"), vNorms: graphValue(op, args, "vNorms"), kCodec: codec, vCodec: codec } : {}),
    numHeads,
    numKvHeads,
    headDim,
    kvLayout: "head",
    causal: form.causal === "doCausal" ? flag(op, args, "doCausal") : form.causal || form.window !== undefined,
    scale: optionalNumber(op, args, "scale"),
    softcap: optionalNumber(op, args, "softcap"),
    window: windowOf(op, form, args),
  });
  const valueDim = Number(out.shape[2]) / numHeads;
  const split: Dim[] = [batch, queries, numHeads, valueDim];
  return g.transpose(g.reshape(out, { shape: split }), { perm: [0, 2, 1, 3] });
}

function optionalNumber(op: string, args: Args, name: string): number | undefined {
  const value = args[name];
  if (value !== undefined && typeof value !== "number") throw new AttrError(op, `${name}: expected a number, got ${shown(value)}`);
  return value;
}

/** How many keys a query sees; `undefined`: all. */
function windowOf(op: string, { window, maskType }: AttentionForm, args: Args): number | undefined {
  if (window === undefined) return undefined;
  const type = args.maskType ?? (maskType ? 0 : 2);
  if (type !== 0 && type !== 1 && type !== 2) throw new AttrError(op, `maskType: expected 0, 1 or 2, got ${shown(type)}`);
  const size = optionalNumber(op, args, window);
  if (type !== 2) return undefined;
  if (size === undefined) throw new AttrError(op, `${window}: expected an integer of at least 1, got nothing`);
  return size;
}

/** All of them by name. */
export const attentions = namedForms<AttentionForm>(attentionForms, attendTensors, (g, name, form, given) =>
  attend(g, name, form, argsOf(name, form, given)),
) as { readonly [N in AttentionName]: NamedAttention<N> };

export const {
  sdpa,
  sdpaBf16,
  sdpaSliding,
  sdpaDecode,
  flashAttnVec,
  flashAttnVecTq,
  flashAttnVecTqHb,
  flashAttnPrefill,
  flashAttnPrefillResume,
} = attentions;
