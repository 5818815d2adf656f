import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { attrToJson, canonicalJson, type Json } from "./attr-codec.ts";
import { type Graph, NONE, type Node } from "./graph.ts";
import { opByName } from "./ops/index.ts";
import type { Tensor } from "./tensor.ts";

/** Bytes that are hashed between two yields: a few milliseconds. */
const CHUNK = 2 ** 18;

/** SHA-256 of bytes, as 64 hex digits. */
export const hashBytes = (bytes: Uint8Array): string => bytesToHex(sha256(bytes));

/** The same, interruptible: many bytes take a second per 100 MB. */
export function* hashBytesWork(bytes: Uint8Array): Generator<undefined, string> {
  const hash = sha256.create();
  for (let at = 0; at < bytes.byteLength; at += CHUNK) {
    hash.update(bytes.subarray(at, at + CHUNK));
    yield;
  }
  return bytesToHex(hash.digest());
}
const digest = (json: Json): string => hashBytes(new TextEncoder().encode(canonicalJson(json)));
const constants = new WeakMap<Tensor, string>();

/** Content hash of a constant: dtype, shape and bytes. */
function* constantHash(t: Tensor): Generator<undefined, string> {
  const known = constants.get(t);
  if (known !== undefined) return known;
  const hash = digest([t.dtype, t.shape, yield* hashBytesWork(t.bytes)]);
  constants.set(t, hash);
  return hash;
}

/**
 * SHA-256 of what a graph computes, as 64 hex digits: ops, attributes, types, constants' data, names of inputs, params, states and
 * outputs, symbols with bounds, the order of outputs and of writes to a state. Not of the graph's name, labels, origins, node
 * numbers, nor of nodes that reach no output and no state. A Merkle hash: a node is its op over its operands' hashes.
 */
export function hashGraph(graph: Graph): string {
  const work = hashGraphWork(graph);
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value;
}

/** The same, interruptible: yields after every node. */
export function* hashGraphWork(graph: Graph): Generator<undefined, string> {
  const nodes: string[] = [];
  const signature: string[] = [];
  const impure = new Map<string, number>();
  const operand = (id: number): Json => {
    const value = graph.values[id];
    return id === NONE || !value ? null : [nodes[value.node] ?? "", value.index];
  };
  for (const node of graph.nodes) {
    const { traits } = opByName(node.op);
    let hash = digest([node.op, node.inputs.map(operand), yield* attrsOf(graph, node), node.outputs.map((v) => typeOf(graph, v))]);
    if (traits.impure) {
      // Two draws of random numbers are two nodes, even if all else agrees.
      const seen = impure.get(hash) ?? 0;
      impure.set(hash, seen + 1);
      hash = digest([hash, seen]);
    }
    nodes.push(hash);
    if (traits.leaf === "input" || traits.leaf === "param" || traits.leaf === "state" || traits.writes !== undefined) signature.push(hash);
    yield;
  }
  return digest({
    outputs: graph.outputs.map((o) => [o.name, operand(o.value)]),
    signature: signature.sort(),
    symbols: [...graph.symbols]
      .map(([name, { min, max }]): Json => [name, min, max])
      .sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1)),
  });
}

/** Attributes; a constant's number in the graph says nothing, its data does. */
function* attrsOf(graph: Graph, node: Node): Generator<undefined, Json> {
  const json = attrToJson(node.attrs);
  if (opByName(node.op).traits.leaf !== "constant") return json;
  const tensor = graph.constants[Number(node.attrs.index)];
  return tensor ? yield* constantHash(tensor) : json;
}

function typeOf(graph: Graph, id: number): Json {
  const value = graph.values[id];
  return value ? [value.dtype, value.shape.map(String)] : null;
}
