import { type AttrRecord, type Dim, dimMax, type DType, innerNode, type ScalarBody, type TensorType } from "@rlxjs/ir";
import { type Emitted, epilogueBody, type Kernel, type NodeView, type OperandView } from "@rlxjs/runtime";
import { bytecode, maxOperands } from "./bytecode.ts";

/** Dtypes that the vector kernels compute with, as f32. */
const vectorFloats: readonly DType[] = ["f32", "f16", "bf16"];
/** Block formats with a packed layout: rows in groups of 16, see native/cpu/pack.h. */
const packed: readonly DType[] = ["q8_0", "q4_0"];
/** Block formats without int8 kernels: packed as f16 rows. */
const widened: readonly DType[] = ["q4_k", "q5_k", "q6_k"];
const layoutOf = (w: TensorType | undefined): string | undefined =>
  w === undefined ? undefined : packed.includes(w.dtype) ? "rows16" : widened.includes(w.dtype) ? "f16" : undefined;

const isVectorFloat = (t: TensorType | undefined): boolean => t !== undefined && vectorFloats.includes(t.dtype);
const isPacked = (t: TensorType | undefined): boolean => t !== undefined && packed.includes(t.dtype);
const elements = (shape: readonly Dim[]): number => shape.reduce((n: number, d) => n * dimMax(d), 1);
const align = (n: number): number => Math.ceil(n / 64) * 64;
type Slots = readonly (OperandView | undefined)[];

/** A routine of linear algebra, without its epilogue. */
interface Routine {
  readonly kernel: string;
  accepts(inputs: Slots): true | string;
  /** Parameters after the number of own inputs. */
  params(attrs: AttrRecord): readonly number[];
  scratchBytes(inputs: Slots, attrs: AttrRecord): number;
}

/** Bytes for the rows of x in the form that the kernel multiplies: int8 with scale and sum per block of 32, or f32. */
function rowScratch(x: TensorType | undefined, w: TensorType | undefined): number {
  if (!x) return 0;
  const n = elements(x.shape);
  if (isPacked(w)) return align(n) + 2 * align((n / 32) * 4);
  return x.dtype === "f32" ? 0 : 4 * n;
}

function acceptsLinear(x: OperandView | undefined, w: OperandView | undefined): true | string {
  if (!isVectorFloat(x)) return `x of dtype ${x?.dtype}`;
  if (layoutOf(w)) return w?.weight ? true : `w of dtype ${w?.dtype} that is not a weight`;
  return isVectorFloat(w) ? true : `w of dtype ${w?.dtype}`;
}

const linear: Routine = {
  kernel: "linear",
  accepts: ([x, w, bias]) => (bias && !isVectorFloat(bias) ? `bias of dtype ${bias.dtype}` : acceptsLinear(x, w)),
  params: () => [],
  scratchBytes: ([x, w]) => rowScratch(x, w),
};

const groupedLinear: Routine = {
  kernel: "grouped_linear",
  accepts: ([x, w, experts]) =>
    experts && experts.dtype !== "i32" && experts.dtype !== "i64" ? `experts of dtype ${experts.dtype}` : acceptsLinear(x, w),
  params: () => [],
  scratchBytes: ([x, w, experts]) => {
    const count = dimMax(w?.shape[0] ?? 0);
    // A job of 32 bytes and a begin per expert, then the rows of x and of y by expert.
    return align(32 * count + 4 * (count + 1 + 2 * elements(experts?.shape ?? [0]))) + rowScratch(x, w);
  },
};

const matmul: Routine = {
  kernel: "matmul",
  accepts: ([a]) => isVectorFloat(a) || a?.dtype === "f64" || `a of dtype ${a?.dtype}`,
  params: ({ transposeB }) => [transposeB === true ? 1 : 0],
  scratchBytes: ([a]) => (a && isVectorFloat(a) && a.dtype !== "f32" ? 4 * elements(a.shape) : 0),
};

const conv1d: Routine = {
  kernel: "conv1d",
  accepts: (own) => {
    const mixed = own.find((t) => t !== undefined && (own[0]?.dtype === "f64" ? t.dtype !== "f64" : !isVectorFloat(t)));
    return mixed ? `${own[0]?.dtype} with ${mixed.dtype}` : true;
  },
  params: ({ stride, padding, dilation, groups }) => [stride, padding, dilation, groups].map(Number),
  scratchBytes: ([x, w], { padding }) => {
    if (!x || !w || x.dtype === "f64") return 0;
    const [batch = 0, channels = 0, length = 0] = x.shape.map(dimMax);
    return align(4 * batch * channels * (length + 2 * Number(padding))) + align(4 * elements(w.shape));
  },
};

function emit(r: Routine, inputs: Slots, attrs: AttrRecord, own: number, blob?: Uint8Array<ArrayBuffer>): Emitted {
  const layout = layoutOf(inputs[1]);
  return {
    kernel: r.kernel,
    params: [own, ...r.params(attrs)],
    scratchBytes: r.scratchBytes(inputs, attrs),
    ...(layout ? { layouts: { 1: layout } } : {}),
    ...(blob ? { blob } : {}),
  };
}

const plain = (op: string, routine: Routine): Kernel => ({
  op,
  accepts: ({ inputs, outputs }) => (outputs.some((t) => t.shape.length > 8) ? "more than 8 axes" : routine.accepts(inputs)),
  emit: ({ inputs, attrs }) => emit(routine, inputs, attrs, inputs.length),
});

const routines: Readonly<Record<string, Routine>> = { linear, grouped_linear: groupedLinear, matmul, conv1d };

interface EpilogueAttrs {
  readonly op: string;
  readonly attrs: AttrRecord;
  readonly arity: number;
  readonly present: readonly number[];
  readonly body: ScalarBody;
}

/** The routine inside a with_epilogue node, its operands by slot, and the body's bytecode; or why it cannot be. */
function fused(
  node: NodeView,
): { routine: Routine; slots: Slots; attrs: AttrRecord; arity: number; blob: Uint8Array<ArrayBuffer> } | string {
  const attrs = node.attrs as unknown as EpilogueAttrs;
  const routine = Object.hasOwn(routines, attrs.op) ? routines[attrs.op] : undefined;
  if (!routine) return `an epilogue of ${attrs.op}`;
  const operands = node.inputs.filter((t) => t !== undefined);
  const inner = innerNode(operands, attrs);
  const accepted = routine.accepts(inner.slots);
  if (accepted !== true) return accepted;
  const type = inner.slots[0];
  if (!isVectorFloat(type)) return `an inner result of dtype ${type?.dtype}`;
  if (inner.extra.length >= maxOperands) return `more than ${maxOperands} operands`;
  if (node.outputs.some((t) => t.shape.length > 8)) return "more than 8 axes";
  const body = epilogueBody(attrs.body, type?.dtype ?? "f32");
  const blob = typeof body === "string" ? body : bytecode(body);
  return typeof blob === "string" ? blob : { routine, slots: inner.slots, attrs: inner.attrs, arity: attrs.arity, blob };
}

const withEpilogue: Kernel = {
  op: "with_epilogue",
  accepts: (node) => {
    const f = fused(node);
    return typeof f === "string" ? f : true;
  },
  emit: (node) => {
    const f = fused(node);
    if (typeof f === "string") throw new TypeError(`with_epilogue: not accepted: ${f}`);
    return emit(f.routine, f.slots, f.attrs, f.arity, f.blob);
  },
};

/** linear, grouped_linear, matmul and conv1d, alone and with a fused epilogue. */
export const linearKernels: readonly Kernel[] = [...Object.entries(routines).map(([op, r]) => plain(op, r)), withEpilogue];
