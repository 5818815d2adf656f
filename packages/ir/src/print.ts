import { bodyProblem, numberText } from "./attr-codec.ts";
import { SymDim } from "./dim.ts";
import { isBlock, isFloat } from "./dtype.ts";
import { type Graph, NONE, type Node } from "./graph.ts";
import type { ScalarBody, ScalarStep } from "./scalar.ts";
import { scalarOps } from "./scalar.ts";
import { showType } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** Constants of at most this many elements are written into the text. */
const inlineElements = 16;

export interface PrintedGraph {
  /** One line per symbol, constant, node and output; `parseGraph` reads it back. */
  readonly text: string;
  /** Data of the constants that the text calls `sidecar`, in order. Empty: the text is all. */
  readonly sidecar: Uint8Array<ArrayBuffer>;
}

/**
 * A graph as text, without loss:
 * ```
 * graph "f"
 * dim seq [1, 512]
 * constant 0 f32[2] [0.5, 1]
 * %0 = input {name: "x", dtype: "f32", shape: [<seq>, 2]} : f32[seq, 2]
 * %1 = constant {index: 0, dtype: "f32", shape: [2]} : f32[2]
 * %2 = mul(%0, %1) : f32[seq, 2] from "layers.0/scale" label "y"
 * output "out" %2
 * ```
 * An absent optional operand is `_`.
 */
export function printGraph(graph: Graph): PrintedGraph {
  const aside: Tensor[] = [];
  const lines = [
    `graph ${quote(graph.name)}`,
    ...[...graph.symbols].map(([name, { min, max }]) => `dim ${name} [${min}, ${max}]`),
    ...graph.constants.map((t, i) => {
      const values = inlineText(t);
      if (values === undefined) aside.push(t);
      return `constant ${i} ${showType(t)} ${values ?? "sidecar"}`;
    }),
    ...graph.nodes.map((n) => nodeText(graph, n)),
    ...graph.outputs.map((o) => `output ${quote(o.name)} %${o.value}`),
  ];
  const sidecar = new Uint8Array(aside.reduce((n, t) => n + t.data.byteLength, 0));
  let at = 0;
  for (const t of aside) {
    sidecar.set(t.bytes, at);
    at += t.data.byteLength;
  }
  return { text: `${lines.join("\n")}\n`, sidecar };
}

function nodeText(graph: Graph, node: Node): string {
  const types = node.outputs.map((v) => {
    const value = graph.values[v];
    return value ? showType(value) : "?";
  });
  const operands = node.inputs.length === 0 ? "" : `(${node.inputs.map((v) => (v === NONE ? "_" : `%${v}`)).join(", ")})`;
  const attrs = Object.keys(node.attrs).length === 0 ? "" : ` ${attrText(node.attrs)}`;
  const origin = node.origin === undefined ? "" : ` from ${quote(node.origin)}`;
  const label = node.label === undefined ? "" : ` label ${quote(node.label)}`;
  return `${node.outputs.map((v) => `%${v}`).join(", ")} = ${node.op}${operands}${attrs} : ${types.join(", ")}${origin}${label}`;
}

const quote = (s: string): string => JSON.stringify(s);

/** An attribute value as text: numbers, text, lists, `{records}`, `<dims>` and scalar bodies. */
export function attrText(value: unknown): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "string") return quote(value);
  if (typeof value === "boolean") return String(value);
  if (value instanceof SymDim) return `<${value.key}>`;
  if (Array.isArray(value)) return `[${value.map(attrText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return "?";
  if (bodyProblem(value) === undefined) return bodyText(value as ScalarBody);
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return `{${entries.map(([k, v]) => `${/^[A-Za-z_]\w*$/.test(k) ? k : quote(k)}: ${attrText(v)}`).join(", ")}}`;
}

/** `body f32 2 [r2 = add r0 r1; r3 = const 0.5; r4 = mul r2 r3] -> r4`: the class, how many inputs, the steps, the results. */
export function bodyText({ compute, inputs, steps, outputs }: ScalarBody): string {
  const step = ({ op, args, imm }: ScalarStep, i: number): string =>
    `r${inputs + i} = ${op}${scalarOps[op] === 0 ? ` ${numberText(imm ?? 0)}` : args.map((r) => ` r${r}`).join("")}`;
  return `body ${compute} ${inputs} [${steps.map(step).join("; ")}] -> ${outputs.map((r) => `r${r}`).join(" ")}`;
}

/** The elements as text; undefined when there are many, or when text would not keep every bit (payloads of NaNs). */
function inlineText(t: Tensor): string | undefined {
  if (t.size > inlineElements || isBlock(t.dtype)) return undefined;
  const items = Array.from({ length: t.size }, (_, i) => (isFloat(t.dtype) ? t.get(i) : t.getInt(i)));
  const again = Tensor.from(t.dtype, t.shape, items).bytes;
  if (!t.bytes.every((b, i) => b === again[i])) return undefined;
  return `[${items.map((v) => (typeof v === "bigint" ? String(v) : numberText(v))).join(", ")}]`;
}
