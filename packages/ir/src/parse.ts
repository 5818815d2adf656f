import type { SymbolBounds } from "./dim.ts";
import { dim } from "./dim.ts";
import { byteLength, isBlock, isFloat } from "./dtype.ts";
import { type Graph, type GraphOutput, NONE, type Node, type ValueId, type ValueInfo } from "./graph.ts";
import { shown } from "./shown.ts";
import { intRange, Tensor } from "./tensor.ts";
import { ParseError, TextReader } from "./text-reader.ts";
import { verifyGraph } from "./verify.ts";

/**
 * Read what `printGraph` wrote (or a person did), and verify it. Text that is not of the form: ParseError with line and column; a
 * graph that breaks a rule: GraphError.
 */
export function parseGraph(text: string, sidecar: Uint8Array<ArrayBuffer> = new Uint8Array()): Graph {
  if (typeof text !== "string") throw new ParseError(1, 1, `expected text, got ${shown(text)}`);
  const r = new TextReader(text);
  const symbols = new Map<string, SymbolBounds>();
  const constants: Tensor[] = [];
  const nodes: Node[] = [];
  const values: ValueInfo[] = [];
  const outputs: GraphOutput[] = [];
  let taken = 0;
  if (!r.acceptWord("graph")) throw r.fail('expected "graph" and a name');
  const name = r.string();
  r.symbols = symbols;
  while (!r.done) {
    if (r.acceptWord("dim")) readSymbol(r, symbols);
    else if (r.acceptWord("constant")) {
      const tensor = readConstant(r, constants.length, sidecar.subarray(taken));
      if (tensor.aside) taken += tensor.value.data.byteLength;
      constants.push(tensor.value.freeze());
    } else if (r.acceptWord("output")) outputs.push({ name: r.string(), value: readId(r) });
    else nodes.push(readNode(r, nodes.length, values));
  }
  if (taken !== sidecar.byteLength) throw r.fail(`the constants take ${taken} bytes of the sidecar, it has ${sidecar.byteLength}`);
  const graph: Graph = { name, nodes, values, outputs, constants, symbols };
  verifyGraph(graph);
  return graph;
}

function readSymbol(r: TextReader, symbols: Map<string, SymbolBounds>): void {
  const name = r.word();
  const [min, max, ...more] = r.list("[", "]", () => r.int());
  if (min === undefined || max === undefined || more.length > 0) throw r.fail(`dim "${name}": expected [min, max]`);
  r.located(() => dim(name, { min, max })); // checks the bounds
  if (symbols.has(name)) throw r.fail(`dim "${name}" is defined twice`);
  symbols.set(name, { min, max });
}

function readConstant(r: TextReader, index: number, sidecar: Uint8Array<ArrayBuffer>): { value: Tensor; aside: boolean } {
  if (r.int() !== index) throw r.fail(`expected constant ${index}: constants are numbered in order`);
  const { dtype, shape } = r.type();
  const extents = shape.map((d) => {
    if (typeof d !== "number") throw r.fail(`constant ${index}: expected numbers for extents, got ${d}`);
    return d;
  });
  if (r.acceptWord("sidecar")) {
    const size = byteLength(dtype, extents);
    if (!Number.isSafeInteger(size) || size > sidecar.byteLength)
      throw r.fail(`constant ${index} takes ${size} bytes of the sidecar, ${sidecar.byteLength} are left`);
    return { value: r.located(() => Tensor.fromBytes(dtype, extents, sidecar.slice(0, size))), aside: true };
  }
  if (isBlock(dtype)) throw r.fail(`constant ${index}: ${dtype} data is always in the sidecar`);
  const exact = !isFloat(dtype);
  const items = r.list("[", "]", () => {
    if (!exact) return r.number();
    const text = r.numberText();
    if (!/^-?\d+$/.test(text)) throw r.fail(`constant ${index}: expected integers, got ${text}`);
    const [v, { min, max }] = [BigInt(text), dtype === "bool" ? { min: 0n, max: 1n } : intRange(dtype)];
    if (v < min || v > max) throw r.fail(`constant ${index}: expected ${min} to ${max} for ${dtype}, got ${text}`);
    return v;
  });
  return { value: r.located(() => Tensor.from(dtype, extents, items)), aside: false };
}

function readId(r: TextReader): ValueId {
  r.expect("%");
  return r.int();
}

function readNode(r: TextReader, id: number, values: ValueInfo[]): Node {
  const outputs = [readId(r)];
  while (r.accept(",")) outputs.push(readId(r));
  r.expect("=");
  const op = r.word();
  const inputs: ValueId[] = [];
  if (r.accept("(") && !r.accept(")")) {
    do inputs.push(r.acceptWord("_") ? NONE : readId(r));
    while (r.accept(","));
    r.expect(")");
  }
  const attrs = r.peek("{") ? r.record() : {};
  r.expect(":");
  for (const [index, value] of outputs.entries()) {
    if (index > 0) r.expect(",");
    if (value !== values.length) throw r.fail(`expected %${values.length}, got %${value}: values are numbered in order`);
    values.push({ ...r.type(), node: id, index });
  }
  const origin = r.acceptWord("from") ? r.string() : undefined;
  const label = r.acceptWord("label") ? r.string() : undefined;
  return {
    id,
    op,
    inputs,
    outputs,
    attrs,
    ...(label === undefined ? {} : { label }),
    ...(origin === undefined ? {} : { origin }),
  };
}
