import { evalExpr, type Expr, type Launch, metalKernels, planProgram } from "@rlxjs/backend-metal";
import { define, type Dim, dim, type KvCodecName, kvCodec } from "@rlxjs/ir";
import { lowerGraph } from "@rlxjs/runtime";
import { expect, test } from "vitest";

const [heads, kvHeads, headDim] = [8, 2, 128];
/** Of one step of attention with so many queries over a cache of so many slots. */
function launchesOf(queries: Dim, capacity: Dim, codec?: KvCodecName): readonly Launch[] {
  const graph = define("attention", (g) => {
    const cache = (name: string) => g.input(name, codec ? "u8" : "f16", [1, kvHeads, capacity, headDim]);
    const norms = (name: string) => g.input(name, "f32", [1, kvHeads, capacity, kvCodec("lloyd-max-v2", 8, headDim).norms]);
    const q = g.input("q", "f32", [1, queries, heads * headDim]);
    const attrs = { numHeads: heads, numKvHeads: kvHeads, headDim, causal: true, kvLayout: "head" as const };
    const coded = codec ? { kCodec: codec, vCodec: codec, kNorms: norms("kn"), vNorms: norms("vn") } : {};
    return { y: g.attention(q, cache("k"), cache("v"), { ...attrs, ...coded, kvLen: g.input("kvLen", "i32", []) }) };
  });
  return planProgram(lowerGraph(graph, { kernels: metalKernels }), metalKernels).launches.map(({ launch }) => launch);
}
const gridOf = ({ grid }: Launch): readonly Expr[] => ("threadgroups" in grid ? grid.threadgroups : grid.threads);
/** Those that run at extents, with their threadgroups. */
const running = (launches: readonly Launch[], extents: Readonly<Record<string, number>> = {}): string[] =>
  launches.flatMap((launch) => {
    const grid = gridOf(launch).map((e) => evalExpr(e, extents));
    return grid.includes(0) ? [] : [`${launch.function}: ${grid.join(" x ")}`];
  });

test("one launch where a threadgroup takes all keys, two where keys are split", () => {
  expect([1, 256, 257, 4096, 100_000].map((capacity) => running(launchesOf(1, capacity)))).toMatchInlineSnapshot(`
    [
      [
        "attention_decode_4_1: 1 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 1 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 2 x 2 x 1",
        "attention_merge: 4 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 16 x 2 x 1",
        "attention_merge: 4 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 32 x 2 x 1",
        "attention_merge: 4 x 2 x 1",
      ],
    ]
  `);
});

test("whatever the format", () => {
  expect(running(launchesOf(1, 4096, "lloyd-max-v2:8"))).toEqual(running(launchesOf(1, 4096)));
  expect(running(launchesOf(64, 4096, "lloyd-max-v2:8"))).toEqual(running(launchesOf(64, 4096)));
});

test("few queries or many: told when a program is made, or at each run", () => {
  expect([0, 1, 4, 5, 512].map((queries) => running(launchesOf(queries, 200)))).toMatchInlineSnapshot(`
    [
      [
        "attention_decode_4_1: 1 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 1 x 2 x 1",
      ],
      [
        "attention_decode_8_1: 1 x 4 x 1",
      ],
      [
        "attention_prefill_32_2: 1 x 2 x 1",
      ],
      [
        "attention_prefill_32_2: 64 x 2 x 1",
      ],
    ]
  `);
  const all = launchesOf(dim("queries", { min: 1, max: 512 }), dim("capacity", { min: 0, max: 4096 }));
  const at = [
    [1, 1],
    [1, 4096],
    [2, 700],
    [3, 700],
    [512, 4096],
  ] as const;
  expect(at.map(([queries, capacity]) => running(all, { queries, capacity }))).toMatchInlineSnapshot(`
    [
      [
        "attention_decode_4_1: 1 x 2 x 1",
        "attention_merge: 4 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 16 x 2 x 1",
        "attention_merge: 4 x 2 x 1",
      ],
      [
        "attention_decode_4_1: 3 x 4 x 1",
        "attention_merge: 8 x 2 x 1",
      ],
      [
        "attention_prefill_32_2: 1 x 2 x 1",
      ],
      [
        "attention_prefill_32_2: 64 x 2 x 1",
      ],
    ]
  `);
});
