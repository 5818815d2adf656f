import { attrFromJson, attrToJson, dimFromText, type Json, type Symbols } from "./attr-codec.ts";
import { type Dim, dim, type SymbolBounds } from "./dim.ts";
import { byteLength, isDType } from "./dtype.ts";
import { RlxError } from "./errors.ts";
import type { AttrRecord, Graph, GraphOutput, Node, ValueInfo } from "./graph.ts";
import type { TensorType } from "./op.ts";
import { shown } from "./shown.ts";
import { Tensor } from "./tensor.ts";
import { verifyWork } from "./verify.ts";

/** Bytes that are not a graph. */
export class SerializeError extends RlxError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_SERIALIZED", `serialized graph: ${message}`);
    if (options) this.cause = options.cause;
  }
}

// Layout, little-endian: "RLXG", u32 version, u32 bytes of the JSON header, u32 zero, header, then the constants in order, each at a
// multiple of 64 from the start, padded with zeros. Offsets follow from the types, so there are none that could lie.
const magic = 0x47584c52;
const version = 1;
const prefix = 16;
const alignment = 64;
const aligned = (n: number): number => Math.ceil(n / alignment) * alignment;

const typeToJson = (t: TensorType): Json => [t.dtype, t.shape.map((d) => (typeof d === "number" ? d : d.key))];

/** A graph as one block of bytes: a JSON header and the constants' data. */
export function serializeGraph(graph: Graph): Uint8Array<ArrayBuffer> {
  const header: Json = {
    name: graph.name,
    symbols: [...graph.symbols].map(([name, { min, max }]) => [name, min, max]),
    constants: graph.constants.map(typeToJson),
    nodes: graph.nodes.map((n) => ({
      op: n.op,
      inputs: n.inputs,
      types: n.outputs.map((v) => typeToJson(outputOf(graph, v))),
      attrs: attrToJson(n.attrs),
      ...(n.label === undefined ? {} : { label: n.label }),
      ...(n.origin === undefined ? {} : { origin: n.origin }),
    })),
    outputs: graph.outputs.map((o) => [o.name, o.value]),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  let size = aligned(prefix + json.byteLength);
  const offsets = graph.constants.map((t) => {
    const at = size;
    size += aligned(t.data.byteLength);
    return at;
  });
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  for (const [i, v] of [magic, version, json.byteLength, 0].entries()) view.setUint32(4 * i, v, true);
  out.set(json, prefix);
  for (const [i, t] of graph.constants.entries()) out.set(t.bytes, offsets[i] ?? 0);
  return out;
}

function outputOf(graph: Graph, id: number): ValueInfo {
  const value = graph.values[id];
  if (!value) throw new SerializeError(`graph "${graph.name}" has no value %${id}`);
  return value;
}

/**
 * Read bytes that `serializeGraph` made. The bytes are not trusted: every length is checked before anything is allocated, and the
 * graph is verified. Throws RlxError, and nothing else. Constants are views of `bytes` where alignment allows.
 */
export function deserializeGraph(bytes: Uint8Array<ArrayBuffer>): Graph {
  const work = deserializeWork(bytes);
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value;
}

/** The same, interruptible: yields after every node that is verified. */
export function* deserializeWork(bytes: Uint8Array<ArrayBuffer>): Generator<undefined, Graph> {
  if (!(bytes instanceof Uint8Array)) throw new SerializeError(`expected a Uint8Array, got ${shown(bytes)}`);
  if (bytes.byteLength < prefix) throw new SerializeError(`expected at least ${prefix} bytes, got ${bytes.byteLength}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) throw new SerializeError('expected "RLXG" at the start');
  if (view.getUint32(4, true) !== version) throw new SerializeError(`expected version ${version}, got ${view.getUint32(4, true)}`);
  const length = view.getUint32(8, true);
  if (length > bytes.byteLength - prefix)
    throw new SerializeError(`header of ${length} bytes, but only ${bytes.byteLength - prefix} follow`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(prefix, prefix + length)));
  } catch (cause) {
    throw new SerializeError("the header is not JSON", { cause });
  }
  const root = fields(header, "header");
  const symbols = readSymbols(root.symbols);
  const graph: Graph = {
    name: text(root.name, "name"),
    symbols,
    constants: readConstants(root.constants, symbols, bytes, aligned(prefix + length)),
    ...readNodes(root.nodes, symbols),
    outputs: list(root.outputs, "outputs").map((o, i): GraphOutput => {
      const [name, value] = list(o, `outputs[${i}]`);
      return { name: text(name, `outputs[${i}] name`), value: int(value, `outputs[${i}] value`) };
    }),
  };
  yield* verifyWork(graph);
  return graph;
}

function readSymbols(json: unknown): Symbols {
  const symbols = new Map<string, SymbolBounds>();
  for (const [i, entry] of list(json, "symbols").entries()) {
    const [name, min, max] = list(entry, `symbols[${i}]`);
    const key = text(name, `symbols[${i}] name`);
    const bounds = { min: int(min, `symbol "${key}" min`), max: int(max, `symbol "${key}" max`) };
    dim(key, bounds); // checks name and bounds
    if (symbols.has(key)) throw new SerializeError(`symbol "${key}" is defined twice`);
    symbols.set(key, bounds);
  }
  return symbols;
}

function readConstants(json: unknown, symbols: Symbols, bytes: Uint8Array<ArrayBuffer>, start: number): Tensor[] {
  let at = start;
  const constants = list(json, "constants").map((entry, i) => {
    const { dtype, shape } = readType(entry, symbols, `constants[${i}]`);
    const extents = shape.map((d) => int(d, `constants[${i}] extent`));
    const size = byteLength(dtype, extents);
    if (!Number.isSafeInteger(size) || size < 0 || size > bytes.byteLength - at)
      throw new SerializeError(`constants[${i}]: ${dtype}[${extents}] takes ${size} bytes, ${Math.max(0, bytes.byteLength - at)} are left`);
    const tensor = Tensor.fromBytes(dtype, extents, bytes.subarray(at, at + size)).freeze();
    at += aligned(size);
    return tensor;
  });
  if (at !== bytes.byteLength) throw new SerializeError(`expected ${at} bytes, got ${bytes.byteLength}`);
  return constants;
}

function readNodes(json: unknown, symbols: Symbols): { nodes: Node[]; values: ValueInfo[] } {
  const values: ValueInfo[] = [];
  const nodes = list(json, "nodes").map((entry, id): Node => {
    const at = `nodes[${id}]`;
    const { op, inputs, types, attrs, label, origin } = fields(entry, at);
    return {
      id,
      op: text(op, `${at} op`),
      inputs: list(inputs, `${at} inputs`).map((v) => int(v, `${at} input`)),
      outputs: list(types, `${at} types`).map((t, index) => values.push({ ...readType(t, symbols, `${at} type`), node: id, index }) - 1),
      attrs: attrFromJson(fields(attrs, `${at} attrs`) as Json, symbols) as AttrRecord,
      ...(label === undefined ? {} : { label: text(label, `${at} label`) }),
      ...(origin === undefined ? {} : { origin: text(origin, `${at} origin`) }),
    };
  });
  return { nodes, values };
}

function readType(json: unknown, symbols: Symbols, at: string): TensorType {
  const [dtype, shape] = list(json, at);
  if (!isDType(dtype)) throw new SerializeError(`${at}: expected a dtype, got ${shown(dtype)}`);
  return { dtype, shape: list(shape, `${at} shape`).map((d): Dim => (typeof d === "number" ? d : dimFromText(d, symbols))) };
}

function fields(v: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof v !== "object" || v === null || Array.isArray(v)) throw new SerializeError(`${at}: expected an object`);
  // Own properties only: a name such as "constructor" must not find the prototype's.
  return Object.assign(Object.create(null), v) as Record<string, unknown>;
}
function list(v: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(v)) throw new SerializeError(`${at}: expected a list`);
  return v;
}
function text(v: unknown, at: string): string {
  if (typeof v !== "string") throw new SerializeError(`${at}: expected text, got ${shown(v)}`);
  return v;
}
function int(v: unknown, at: string): number {
  if (typeof v !== "number" || !Number.isSafeInteger(v)) throw new SerializeError(`${at}: expected an integer, got ${shown(v)}`);
  return v;
}
