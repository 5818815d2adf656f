import { createReferenceBackend } from "@rlxjs/backend-cpu";
import { checkAttrs, ops, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { backends } from "./every-backend.ts";
import { OneOp } from "./one-op.ts";
import { linesOf, refusalsOf } from "./refusals.ts";

test("steps that fail say the same on every backend, with what is expected and what was given", () => {
  const reference = linesOf(refusalsOf(createReferenceBackend()));
  for (const [name, backend] of Object.entries(backends)) {
    const said = refusalsOf(backend);
    expect(linesOf(said), name).toBe(reference);
    expect(said.map(({ kernel }) => kernel)).toEqual(said.map(({ op }) => (name === "reference" ? name : op)));
  }
  expect(reference).toMatchInlineSnapshot(`
    "beyond a cache: pos of sequence 0: expected 0 to 1 for 3 tokens in the 4 slots of cache, got 2
    one of several positions: pos of sequence 1: expected 0 to 1 for 3 tokens in the 4 slots of cache, got 2
    below 0: pos of sequence 0: expected 0 to 9007199254740988 for 3 tokens in the 8 slots of cache, got -1
    the least position: pos of sequence 0: expected 0 to 9007199254740988 for 3 tokens in the 8 slots of cache, got -9223372036854775808
    2^53: pos of sequence 0: expected 0 to 9007199254740988 for 3 tokens in the 8 slots of cache, got 9007199254740992
    more than a double tells apart: pos of sequence 0: expected 0 to 9007199254740988 for 3 tokens in the 8 slots of cache, got 9007199254740993
    the greatest position: pos of sequence 0: expected 0 to 5 for 3 tokens in the 8 slots of cache, got 9223372036854775807
    more than a cache: tokens of sequence 0: expected at most the 2 slots of cache, got 3
    more than a ring: tokens of sequence 0: expected at most the 2 slots of cache (trim: true keeps the newest), got 3
    tokens below 0: tokens of sequence 0: expected 0 to 3, the tokens of the source from 0 on, got -1
    tokens beyond the source: tokens of sequence 1: expected 0 to 1, the tokens of the source from 2 on, got 2
    tokens that overflow: tokens of sequence 0: expected 0 to 0, the tokens of the source from 3 on, got 9223372036854775807
    an offset below 0: srcTokOffset of sequence 0: expected 0 to 3, the tokens of the source, got -2
    an offset beyond the source: srcTokOffset of sequence 0: expected 0 to 3, the tokens of the source, got 4
    an offset that overflows: srcTokOffset of sequence 0: expected 0 to 3, the tokens of the source, got 9223372036854775807
    no capacity: cache: expected a capacity of at least 1 for 3 tokens, got 0
    a sequence that is not there: slots of sequence 1: expected 0 to 2, a sequence of cache, got 3
    a sequence below 0: slots of sequence 0: expected 0 to 2, a sequence of cache, got -1
    a sequence twice: slots of sequence 1: expected another one than sequence 0 has, got 2
    no room for V: tokens of sequence 0: expected at most the 2 slots of vCache, got 3
    no capacity for V: vCache: expected a capacity of at least 1 for 1 tokens, got 0
    a position beyond V: pos of sequence 0: expected 0 to 0 for 3 tokens in the 3 slots of vCache, got 1
    more than the ring of V: tokens of sequence 0: expected at most the 2 slots of vCache (trim: true keeps the newest), got 3
    positions beyond the V of some of many: pos of sequence 15: expected 0 to 1 for 2 tokens in the 3 slots of vCache, got 2
    a length below 0: length of entry 0: expected 0 to 5, the smaller one of the capacities 5 and 6, got -1
    a length beyond a ring: length of entry 1: expected 0 to 5, the smaller one of the capacities 5 and 6, got 6
    an end before the length: end of entry 0: expected 4 to 9007199254740991, got 3
    an end beyond 2^53: end of entry 0: expected 4 to 9007199254740991, got 9007199254740992
    the last of many lengths: length of entry 33: expected 0 to 1, the smaller one of the capacities 2 and 1, got 2
    codes beyond a cache: pos of sequence 0: expected 0 to 1 for 3 tokens in the 4 slots of packed, got 2
    codes without capacity: packed: expected a capacity of at least 1 for 3 tokens, got 0
    the codes of one token: pos of sequence 0: expected 0 to 3 for 1 tokens in the 4 slots of packed, got 4
    more codes than a ring: tokens of sequence 0: expected at most the 2 slots of packed (trim: true keeps the newest), got 3
    an offset of codes: srcTokOffset of sequence 0: expected 0 to 3, the tokens of the source, got 9
    no room for codes of V: pos of sequence 0: expected 0 to 0 for 3 tokens in the 3 slots of vPacked, got 1
    no capacity for codes of V: vPacked: expected a capacity of at least 1 for 3 tokens, got 0
    decoding beyond a cache: pos of sequence 0: expected 0 to 2 for 2 tokens in the 4 slots of packed, got 3
    decoding more than there is: tokens: expected at most the 4 slots of packed, got 5
    decoding without capacity: tokens: expected at most the 0 slots of packed, got 1
    decoding one vector without capacity: tokens: expected at most the 0 slots of packed, got 1
    decoding below 0: pos of sequence 0: expected 0 to 9007199254740990 for 1 tokens in the 4 slots of packed, got -1
    more keys than a cache has: kvLen of sequence 1: expected 0 to 8, got 9
    fewer keys than none: kvLen of sequence 0: expected 0 to 8, got -9223372036854775808
    a ring that begins beyond its end: ringStart of sequence 1: expected 0 to 7, got 8
    what is wrong with the first row comes first: slots of sequence 0: expected 0 to 1, got 9
    a ring that begins below 0: ringStart of sequence 0: expected 0 to 7, got -1
    a query too far: qPos of sequence 0: expected -9007199254740992 to 9007199254740992, got 9007199254740993
    a query too far below 0: qPos of sequence 0: expected -9007199254740992 to 9007199254740992, got -9223372036854775808
    keys of a sequence that is not there: slots of sequence 1: expected 0 to 1, got 2
    keys of a sequence below 0: slots of sequence 0: expected 0 to 1, got -1
    keys of the only sequence: slots of sequence 1: expected 0 to 0, got 1
    a key of a cache without any: kvLen of sequence 0: expected 0 to 0, got 1
    a ring that begins behind nothing: ringStart of sequence 0: expected 0 to 0, got 1
    more keys than a cache has, for many queries: kvLen of sequence 1: expected 0 to 8, got 9
    keys of the only sequence, for many queries: slots of sequence 1: expected 0 to 0, got 1
    an index of gather: index 1: expected 0 to 2, got 3
    indices of which none is there: index 0: expected 0 to 1, got -1
    an index below 0: index 0: expected 0 to 1, got -9223372036854775808
    an index of an empty axis: index 0: expected 0 to -1, got 0
    an index of scatter: index 0: expected 0 to 1, got 2
    an id: index 2: expected 0 to 3, got 4
    an expert: index 1: expected 0 to 2, got 3
    an expert below 0: index 0: expected 0 to 2, got -1
    several experts of few: index 2: expected 0 to 2, got 5
    several experts of many: index 35: expected 0 to 2, got 38
    no experts: index 0: expected 0 to -1, got 0
    several ids: index 4: expected 0 to 2, got 7"
  `);
});

test("runs that fail at the same time each say what is wrong with them", async () => {
  const runs = Object.values(backends).flatMap((backend) =>
    [3, 40, 500].map(async (id) => {
      const slots = [Tensor.zeros("f32", [2, 3]), Tensor.from("i32", [], [id])];
      using one = new OneOp(backend, ops.gather, { name: "gather", slots, attrs: checkAttrs(ops.gather, {}) });
      await expect(one.run()).rejects.toThrow(`index 0: expected 0 to 1, got ${id}`);
    }),
  );
  await Promise.all(runs);
});
