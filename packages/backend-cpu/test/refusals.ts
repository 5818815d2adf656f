import { type AnyOpDef, type AttrRecord, checkAttrs, type DType, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { type Backend, KernelError } from "@rlxjs/runtime";
import { OneOp } from "./one-op.ts";

const rng = new Rng(11);
const int = (value: number): Tensor => Tensor.from("i32", [], [value]);
const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
const long = (value: bigint): Tensor => {
  const t = Tensor.zeros("i64", []);
  t.setInt(0, value);
  return t;
};
const random = (dtype: DType, ...shape: readonly number[]): Tensor => randomTensor(rng, dtype, shape);

interface Places {
  readonly pos?: Tensor;
  readonly slots?: Tensor;
  readonly tokens?: Tensor;
  readonly srcTokOffset?: Tensor;
}
interface Failing {
  readonly def: AnyOpDef;
  readonly slots: readonly (Tensor | undefined)[];
  readonly attrs?: AttrRecord;
}

const placed = ({ pos = int(0), slots, tokens, srcTokOffset }: Places): (Tensor | undefined)[] => [pos, slots, tokens, srcTokOffset];
/** Three sequences of a cache, two of the source, with three tokens each. */
const write = (capacity: number, places: Places, attrs: AttrRecord = {}): Failing => ({
  def: ops.kvWrite,
  slots: [random("f16", 3, capacity, 4), random("f32", 2, 3, 4), ...placed({ slots: ints(0, 1), ...places })],
  attrs,
});
/** The cache of V has less room than the one of K. */
const pair = (kCap: number, vCap: number, places: Places, attrs: AttrRecord = {}): Failing => ({
  def: ops.kvWritePair,
  slots: [random("q8_0", 1, kCap, 32), random("f32", 1, vCap, 2), random("f32", 1, 3, 4), random("f32", 1, 3, 2), ...placed(places)],
  attrs: { headDim: 4, valueDim: 2, ...attrs },
});
const linearize = (end: Tensor, length: Tensor): Failing => ({
  def: ops.kvLinearizeRing,
  slots: [random("u8", 2, 6, 3), random("u8", 2, 5, 3), end, length],
});
const store = (capacity: number): Tensor[] => [random("u8", 1, 2, capacity, 32), random("f32", 1, 2, capacity, 1)];
const codec = { codec: "lloyd-max-v2:8", headDim: 32, layout: "head" };
const quantize = (capacity: number, places: Places, attrs: AttrRecord = {}): Failing => ({
  def: ops.kvQuantize,
  slots: [...store(capacity), random("f32", 1, 3, 64), ...placed(places)],
  attrs: { ...codec, ...attrs },
});
const quantizePair = (kCap: number, vCap: number, places: Places): Failing => ({
  def: ops.kvQuantizePair,
  slots: [...store(kCap), ...store(vCap), random("f32", 1, 3, 64), random("f32", 1, 3, 64), ...placed(places)],
  attrs: { kCodec: codec.codec, vCodec: codec.codec, headDim: 32, layout: "head" },
});
/** More sequences than a simdgroup has lanes look at one plan, K and V together. */
const many = (pos: (row: number) => number): Failing => ({
  def: ops.kvWritePair,
  slots: [
    ...[random("f32", 20, 4, 1), random("f32", 20, 3, 1), random("f32", 20, 2, 1), random("f32", 20, 2, 1)],
    ...placed({ pos: ints(...Array.from({ length: 20 }, (_, row) => pos(row))) }),
  ],
});
const dequantize = (capacity: number, pos: Tensor, attrs: AttrRecord): Failing => ({
  def: ops.kvDequantize,
  slots: [...store(capacity), pos],
  attrs: { ...codec, ...attrs },
});
const experts = (list: readonly number[], n = 5): Failing => ({
  def: ops.groupedLinear,
  slots: [random("f32", list.length, 4), random("f32", 3, n, 4), Tensor.from("i32", [list.length, 1], list)],
});
const wrongAt = (count: number, places: readonly number[]): number[] =>
  Array.from({ length: count }, (_, i) => (places.includes(i) ? 3 + i : i % 3));
/** Rows of a batch read sequences of a cache, two of each. */
const attend = (
  places: Readonly<Partial<Record<"qPos" | "kvLen" | "ringStart" | "slots", Tensor>>>,
  { queries = 1, sequences = 2, capacity = 8 } = {},
): Failing => ({
  def: ops.attention,
  slots: [
    random("f32", 2, queries, 4),
    ...[random("f16", sequences, capacity, 4), random("f16", sequences, capacity, 4), undefined],
    ...[places.qPos, places.kvLen, undefined, places.ringStart, places.slots, undefined, undefined],
  ],
  attrs: { numHeads: 1, numKvHeads: 1, headDim: 4 },
});
const ring = { ring: true };

/** Steps whose operands are refused when they run. */
const failing: Readonly<Record<string, Failing>> = {
  "beyond a cache": write(4, { pos: int(2) }),
  "one of several positions": write(4, { pos: ints(1, 2) }),
  "below 0": write(8, { pos: int(-1) }, ring),
  "the least position": write(8, { pos: long(-(2n ** 63n)) }, ring),
  "2^53": write(8, { pos: long(2n ** 53n) }, ring),
  "more than a double tells apart": write(8, { pos: long(2n ** 53n + 1n) }, ring),
  "the greatest position": write(8, { pos: long(2n ** 63n - 1n) }),
  "more than a cache": write(2, {}),
  "more than a ring": write(2, {}, ring),
  "tokens below 0": write(8, { tokens: int(-1) }),
  "tokens beyond the source": write(8, { tokens: ints(3, 2), srcTokOffset: ints(0, 2) }),
  "tokens that overflow": write(8, { tokens: long(2n ** 63n - 1n), srcTokOffset: int(3) }),
  "an offset below 0": write(8, { srcTokOffset: int(-2) }),
  "an offset beyond the source": write(8, { srcTokOffset: int(4) }),
  "an offset that overflows": write(8, { srcTokOffset: long(2n ** 63n - 1n), tokens: int(1) }),
  "no capacity": write(0, {}, ring),
  "a sequence that is not there": write(8, { slots: ints(0, 3) }),
  "a sequence below 0": write(8, { slots: ints(-1, 0) }),
  "a sequence twice": write(8, { slots: ints(2, 2) }),
  "no room for V": pair(4, 2, {}),
  "no capacity for V": pair(4, 0, { tokens: int(1) }),
  "a position beyond V": pair(4, 3, { pos: int(1) }),
  "more than the ring of V": pair(4, 2, {}, ring),
  "positions beyond the V of some of many": many((row) => (row === 15 || row > 17 ? 2 : row % 2)),
  "a length below 0": linearize(int(4), int(-1)),
  "a length beyond a ring": linearize(ints(8, 8), ints(5, 6)),
  "an end before the length": linearize(int(3), int(4)),
  "an end beyond 2^53": linearize(long(2n ** 53n), int(4)),
  "the last of many lengths": {
    def: ops.kvLinearizeRing,
    slots: [random("u8", 34, 1, 1), random("u8", 34, 2, 1), int(5), ints(...Array.from({ length: 34 }, (_, i) => (i === 33 ? 2 : i % 2)))],
  },
  "codes beyond a cache": quantize(4, { pos: int(2) }),
  "codes without capacity": quantize(0, {}),
  "the codes of one token": {
    def: ops.kvQuantize,
    slots: [...store(4), random("f32", 1, 1, 64), ...placed({ pos: int(4) })],
    attrs: codec,
  },
  "more codes than a ring": quantize(2, {}, ring),
  "an offset of codes": quantize(4, { srcTokOffset: int(9) }),
  "no room for codes of V": quantizePair(4, 3, { pos: int(1) }),
  "no capacity for codes of V": quantizePair(4, 0, {}),
  "decoding beyond a cache": dequantize(4, int(3), { tokens: 2 }),
  "decoding more than there is": dequantize(4, int(0), { tokens: 5, ...ring }),
  "decoding without capacity": dequantize(0, int(0), {}),
  "decoding one vector without capacity": {
    def: ops.kvDequantize,
    slots: [random("u8", 1, 1, 0, 32), random("f32", 1, 1, 0, 1), int(0)],
    attrs: codec,
  },
  "decoding below 0": dequantize(4, int(-1), ring),
  "more keys than a cache has": attend({ kvLen: ints(8, 9) }),
  "fewer keys than none": attend({ kvLen: long(-(2n ** 63n)) }),
  "a ring that begins beyond its end": attend({ ringStart: ints(7, 8) }),
  "what is wrong with the first row comes first": attend({ kvLen: ints(8, 9), slots: ints(9, 9) }),
  "a ring that begins below 0": attend({ ringStart: int(-1) }),
  "a query too far": attend({ qPos: long(2n ** 53n + 1n) }),
  "a query too far below 0": attend({ qPos: long(-(2n ** 63n)) }),
  "keys of a sequence that is not there": attend({ slots: ints(1, 2) }),
  "keys of a sequence below 0": attend({ slots: ints(-1, 0) }),
  "keys of the only sequence": attend({ slots: ints(0, 1) }, { sequences: 1 }),
  "a key of a cache without any": attend({ kvLen: int(1) }, { capacity: 0 }),
  "a ring that begins behind nothing": attend({ ringStart: int(1) }, { capacity: 0 }),
  "more keys than a cache has, for many queries": attend({ kvLen: ints(8, 9) }, { queries: 20 }),
  "keys of the only sequence, for many queries": attend({ slots: ints(0, 1) }, { queries: 20, sequences: 1 }),
  "an index of gather": { def: ops.gather, slots: [random("f32", 2, 3), ints(1, 3, 9)], attrs: { axis: 1 } },
  "indices of which none is there": { def: ops.gather, slots: [random("f32", 2, 3), ints(-1, 5, 2)] },
  "an index below 0": { def: ops.gather, slots: [random("f32", 2, 3), long(-(2n ** 63n))] },
  "an index of an empty axis": { def: ops.gather, slots: [random("f32", 0, 3), int(0)] },
  "an index of scatter": { def: ops.scatter, slots: [random("f32", 2, 3), ints(2), random("f32", 1, 3)] },
  "an id": { def: ops.embedding, slots: [random("f16", 4, 2), Tensor.from("i32", [2, 2], [0, 3, 4, 1])] },
  "an expert": experts([0, 3]),
  "an expert below 0": experts([-1, 0]),
  "several experts of few": experts(wrongAt(6, [2, 4, 5]), 20),
  "several experts of many": experts(wrongAt(70, [40, 35, 67])),
  "no experts": { def: ops.groupedLinear, slots: [random("f32", 9, 4), random("f32", 0, 5, 4), Tensor.zeros("i32", [9, 1])] },
  "several ids": { def: ops.embedding, slots: [random("f16", 3, 40), Tensor.from("i32", [9], wrongAt(9, [7, 4, 8]))] },
};

/** What a failing step says, without which step of which program it is. */
export interface Said {
  /** Which of the cases. */
  readonly what: string;
  readonly op: string;
  readonly kernel: string;
  readonly text: string;
}

/** What all of them say on a backend, or those of some ops; they leave what they write as it was. */
export const refusalsOf = (backend: Backend, isWanted: (op: string) => boolean = () => true): Said[] =>
  Object.entries(failing).flatMap(([what, given]) =>
    isWanted(given.def.name) ? [{ what, op: given.def.name, ...refusalOf(backend, given) }] : [],
  );

/** As lines of text. */
export const linesOf = (said: readonly Said[]): string => said.map(({ what, text }) => `${what}: ${text}`).join("\n");

function refusalOf(backend: Backend, { def, slots, attrs = {} }: Failing): Pick<Said, "kernel" | "text"> {
  using one = new OneOp(backend, def, { name: def.name, slots, attrs: checkAttrs(def, attrs) });
  try {
    one.runSync();
    return { kernel: one.kernel, text: "accepted" };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const isChanged = [...one.states].some(
      ([slot, { bytes, intact }]) => !intact || Buffer.compare(bytes, slots[slot]?.bytes ?? bytes) !== 0,
    );
    const [, kernel = "", text = ""] = /^graph "\w+": step 0 \w+ \((\w+)\): (.*)$/.exec(error.message) ?? [];
    return { kernel, text: isChanged ? `${text}, and states were written` : text };
  }
}
