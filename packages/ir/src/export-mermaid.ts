import { type Cluster, caption, clustersOf } from "./clusters.ts";
import type { Graph, Node } from "./graph.ts";
import { NONE } from "./graph.ts";
import { opByName } from "./ops/index.ts";
import { showType } from "./shape.ts";

// Mermaid reads entities such as #quot; inside quoted labels; markup characters must not reach it raw.
const quote = (s: string): string => `"${s.replace(/[&"<>#;`\\]/g, (c) => `#${c.charCodeAt(0)};`).replaceAll("\n", "<br/>")}"`;

/** A Mermaid flowchart of a graph: one box per node, types on the edges, blocks as subgraphs. */
export function exportMermaid(graph: Graph): string {
  const lines = ["flowchart TD"];
  let clusters = 0;
  const box = (node: Node): string => {
    const leaf = opByName(node.op).traits.leaf !== undefined;
    return leaf ? `n${node.id}([${quote(caption(node))}])` : `n${node.id}[${quote(caption(node))}]`;
  };
  const visit = (cluster: Cluster, indent: string): void => {
    for (const node of cluster.nodes) lines.push(`${indent}${box(node)}`);
    for (const child of cluster.children.values()) {
      lines.push(`${indent}subgraph c${clusters++}[${quote(child.name)}]`);
      visit(child, `${indent}  `);
      lines.push(`${indent}end`);
    }
  };
  visit(clustersOf(graph), "  ");
  const edge = (id: number, to: string): void => {
    const value = graph.values[id];
    if (id !== NONE && value) lines.push(`  n${value.node} -->|${quote(showType(value))}| ${to}`);
  };
  for (const node of graph.nodes) for (const id of node.inputs) edge(id, `n${node.id}`);
  for (const [i, { name, value }] of graph.outputs.entries()) {
    lines.push(`  out${i}([${quote(`output ${name}`)}])`);
    edge(value, `out${i}`);
  }
  return `${lines.join("\n")}\n`;
}
