import { define, dim, exportDot, exportMermaid, summarizeGraph, summaryText, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";

const seq = dim("seq", { min: 1, max: 8 });
const graph = define("g", (g) => {
  const x = g.input("x", "f32", [seq, 64]);
  g.origin = 'layers.0/linear:"up" <b>';
  const y = g.linear(x, g.param("w", "q8_0", [16, 64]));
  g.origin = "layers.0/act";
  return { y: g.exp(g.reshape(g.mul(y, g.constant(Tensor.from("f32", [], [2])), { label: "scale" }), { shape: [seq, 4, 4] })) };
});

test("mermaid, with blocks as subgraphs", () => {
  expect(exportMermaid(graph)).toMatchInlineSnapshot(`
    "flowchart TD
      n0(["input x"])
      subgraph c0["layers.0"]
        subgraph c1["linear:#34;up#34; #60;b#62;"]
          n1(["param w"])
          n2["linear"]
        end
        subgraph c2["act"]
          n3(["constant"])
          n4["mul #34;scale#34;"]
          n5["reshape"]
          n6["exp"]
        end
      end
      n0 -->|"f32[seq, 64]"| n2
      n1 -->|"q8_0[16, 64]"| n2
      n2 -->|"f32[seq, 16]"| n4
      n3 -->|"f32[]"| n4
      n4 -->|"f32[seq, 16]"| n5
      n5 -->|"f32[seq, 4, 4]"| n6
      out0(["output y"])
      n6 -->|"f32[seq, 4, 4]"| out0
    "
  `);
});

test("dot, with blocks as clusters", () => {
  expect(exportDot(graph)).toMatchInlineSnapshot(`
    "digraph "g" {
      node [shape=box, fontname=monospace];
      n0 [label="input x", shape=ellipse];
      subgraph cluster_0 {
        label="layers.0";
        subgraph cluster_1 {
          label="linear:\\"up\\" <b>";
          n1 [label="param w", shape=ellipse];
          n2 [label="linear"];
        }
        subgraph cluster_2 {
          label="act";
          n3 [label="constant", shape=ellipse];
          n4 [label="mul \\"scale\\""];
          n5 [label="reshape"];
          n6 [label="exp"];
        }
      }
      n0 -> n2 [label="f32[seq, 64]"];
      n1 -> n2 [label="q8_0[16, 64]"];
      n2 -> n4 [label="f32[seq, 16]"];
      n3 -> n4 [label="f32[]"];
      n4 -> n5 [label="f32[seq, 16]"];
      n5 -> n6 [label="f32[seq, 4, 4]"];
      out0 [label="output y", shape=ellipse];
      n6 -> out0 [label="f32[seq, 4, 4]"];
    }
    "
  `);
});

test("a summary counts from types and traits", () => {
  const { ops, total, paramBytes, constantBytes, stateBytes } = summarizeGraph(graph, { seq: 2 });
  expect(ops.get("linear")).toEqual({ count: 1, flops: 2 * 2 * 16 * 64, bytes: 2 * 64 * 4 + 16 * 2 * 34 + 2 * 16 * 4 });
  expect(ops.get("exp")).toEqual({ count: 1, flops: 32, bytes: 2 * 32 * 4 });
  expect(ops.get("reshape")).toEqual({ count: 1, flops: 0, bytes: 0 });
  expect({ paramBytes, constantBytes, stateBytes }).toEqual({ paramBytes: 16 * 2 * 34, constantBytes: 4, stateBytes: 0 });
  expect(total.count).toBe(graph.nodes.length);
  expect(summarizeGraph(graph).ops.get("exp")?.flops).toBe(8 * 16);
  expect(summaryText(graph)).toMatchInlineSnapshot(`
    "graph "g": 7 nodes, params 1.09 KB, constants 4 B, states 0 B
    op        count   flops    bytes
    linear        1  16.4 K  3.65 KB
    mul           1     128  1.03 KB
    exp           1     128  1.02 KB
    constant      1       0      0 B
    input         1       0      0 B
    param         1       0      0 B
    reshape       1       0      0 B
    total         7  16.6 K  5.70 KB
    "
  `);
});
