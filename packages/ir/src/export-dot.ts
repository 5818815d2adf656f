import { type Cluster, caption, clustersOf } from "./clusters.ts";
import { type Graph, NONE, type Node } from "./graph.ts";
import { opByName } from "./ops/index.ts";
import { showType } from "./shape.ts";

const quote = (s: string): string => `"${s.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;

/** A Graphviz digraph of a graph: one box per node, types on the edges, blocks as clusters. */
export function exportDot(graph: Graph): string {
  const lines = [`digraph ${quote(graph.name)} {`, "  node [shape=box, fontname=monospace];"];
  let clusters = 0;
  const box = (node: Node): string =>
    `n${node.id} [label=${quote(caption(node))}${opByName(node.op).traits.leaf === undefined ? "" : ", shape=ellipse"}];`;
  const visit = (cluster: Cluster, indent: string): void => {
    for (const node of cluster.nodes) lines.push(`${indent}${box(node)}`);
    for (const child of cluster.children.values()) {
      lines.push(`${indent}subgraph cluster_${clusters++} {`, `${indent}  label=${quote(child.name)};`);
      visit(child, `${indent}  `);
      lines.push(`${indent}}`);
    }
  };
  visit(clustersOf(graph), "  ");
  const edge = (id: number, to: string): void => {
    const value = graph.values[id];
    if (id !== NONE && value) lines.push(`  n${value.node} -> ${to} [label=${quote(showType(value))}];`);
  };
  for (const node of graph.nodes) for (const id of node.inputs) edge(id, `n${node.id}`);
  for (const [i, { name, value }] of graph.outputs.entries()) {
    lines.push(`  out${i} [label=${quote(`output ${name}`)}, shape=ellipse];`);
    edge(value, `out${i}`);
  }
  return `${lines.join("\n")}\n}\n`;
}
