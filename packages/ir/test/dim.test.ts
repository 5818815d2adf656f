import {
  addDims,
  bindDim,
  type Dim,
  dim,
  dimEquals,
  dimMax,
  dimMin,
  divDims,
  evalDim,
  floorDivDims,
  mulDims,
  parseDim,
  productOf,
  RlxError,
  shapeEquals,
  subDims,
} from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";

const bounds = { a: { min: 0, max: 7 }, b: { min: 1, max: 5 }, seq: { min: 2, max: 2 } };
const symbols = new Map(Object.entries(bounds));
const binding = fc.record({ a: fc.integer(bounds.a), b: fc.integer(bounds.b), seq: fc.constant(2) });
const atom: fc.Arbitrary<Dim> = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(...[...symbols].map(([name, b]) => dim(name, b))),
);
const { poly } = fc.letrec<{ poly: Dim }>((tie) => ({
  poly: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc.tuple(tie("poly"), tie("poly")).map(([x, y]) => addDims(x, y)),
    fc.tuple(tie("poly"), tie("poly")).map(([x, y]) => subDims(x, y)),
    fc.tuple(tie("poly"), atom).map(([x, y]) => mulDims(x, y)),
  ),
}));

test("polynomials are a commutative ring, and equal ones have one form", () => {
  fc.assert(
    fc.property(poly, poly, poly, (x, y, z) => {
      const equal = (p: Dim, q: Dim) => expect(dimEquals(p, q), `${p} against ${q}`).toBe(true);
      equal(addDims(x, y), addDims(y, x));
      equal(mulDims(x, y), mulDims(y, x));
      equal(addDims(addDims(x, y), z), addDims(x, addDims(y, z)));
      equal(mulDims(mulDims(x, y), z), mulDims(x, mulDims(y, z)));
      equal(mulDims(x, addDims(y, z)), addDims(mulDims(x, y), mulDims(x, z)));
      equal(addDims(x, 0), x);
      equal(mulDims(x, 1), x);
      equal(mulDims(x, 0), 0);
      equal(subDims(x, x), 0);
      equal(productOf([x, y, z]), mulDims(z, mulDims(y, x)));
    }),
  );
});

test("evaluation is a homomorphism, within the bounds, and binding in steps is the same", () => {
  fc.assert(
    fc.property(poly, poly, binding, (x, y, at) => {
      expect(evalDim(addDims(x, y), at)).toBe(evalDim(x, at) + evalDim(y, at));
      expect(evalDim(mulDims(x, y), at) === evalDim(x, at) * evalDim(y, at)).toBe(true); // 0 and -0 are equal extents
      expect(evalDim(x, at)).toBeGreaterThanOrEqual(dimMin(x));
      expect(evalDim(x, at)).toBeLessThanOrEqual(dimMax(x));
      const half = bindDim(x, { a: at.a });
      expect(evalDim(half, at) === evalDim(x, at)).toBe(true);
      expect(dimEquals(bindDim(x, at), evalDim(x, at))).toBe(true);
    }),
  );
});

test("division undoes multiplication by a term", () => {
  const term = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.constantFrom("a", "b", "seq")).map(([c, s]) => mulDims(c, dim(s, bounds[s])));
  fc.assert(
    fc.property(poly, term, (x, t) => {
      const back = divDims(mulDims(x, t), t);
      expect(back !== undefined && dimEquals(back, x), `${x} * ${t} / ${t} = ${back}`).toBe(true);
    }),
  );
  const a = dim("a", bounds.a);
  expect(divDims(addDims(mulDims(2, a), 1), 2)).toBeUndefined();
  expect(divDims(6, 4)).toBeUndefined();
  expect(divDims(a, 0)).toBeUndefined();
  expect(divDims(a, dim("b", bounds.b))).toBeUndefined();
});

test("a floor that is a polynomial holds for every binding", () => {
  fc.assert(
    fc.property(poly, fc.integer({ min: -20, max: 20 }), fc.integer({ min: 1, max: 6 }), binding, (x, rest, n, at) => {
      const given = addDims(mulDims(n, x), rest);
      const floor = floorDivDims(given, n);
      expect(floor !== undefined && evalDim(floor, at) === Math.floor(evalDim(given, at) / n), `${given} / ${n} = ${floor}`).toBe(true);
    }),
  );
  expect(floorDivDims(addDims(mulDims(3, dim("a", bounds.a)), 4), 2)).toBeUndefined();
});

test("the text of a dim parses to the same dim", () => {
  fc.assert(
    fc.property(poly, (x) => {
      const again = parseDim(String(x), symbols);
      expect(again).toEqual(x);
      expect(String(again)).toBe(String(x));
    }),
  );
  const seq = dim("seq", bounds.seq);
  expect(subDims(seq, 1).toString()).toBe("seq + -1");
  expect(parseDim("seq + -1", symbols)).toEqual(subDims(seq, 1));
  expect(parseDim("-3*a*seq + 2*b + -7", symbols).toString()).toBe("-3*a*seq + 2*b + -7");
});

test("bad names, bounds and text are errors", () => {
  expect(() => dim("2x", { min: 0, max: 1 })).toThrowErrorMatchingInlineSnapshot(`[RlxError: dim name: expected an identifier, got "2x"]`);
  expect(() => dim("x", { min: 2, max: 1 })).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: dim "x": expected integers 0 <= min <= max, got min 2, max 1]`,
  );
  expect(() => dim("x", { min: -1, max: 1 })).toThrow(RlxError);
  expect(() => parseDim("nobody + 1", symbols)).toThrowErrorMatchingInlineSnapshot(`[RlxError: dim "nobody + 1": unknown symbol "nobody"]`);
  expect(() => parseDim("", symbols)).toThrow(RlxError);
  expect(() => evalDim(dim("a", bounds.a), {})).toThrowErrorMatchingInlineSnapshot(`[RlxError: extent a: symbol "a" is not bound]`);
  expect(() => evalDim(dim("toString", bounds.a), {})).toThrow(RlxError);
  expect(() => addDims(dim("a", bounds.a), dim("a", { min: 0, max: 9 }))).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: dim "a" has two bounds: [0, 7] and [0, 9]]`,
  );
  const huge = mulDims(Number.MAX_SAFE_INTEGER, dim("a", bounds.a));
  expect(() => addDims(huge, huge)).toThrowErrorMatchingInlineSnapshot(
    `[RlxError: dim arithmetic overflows: 9007199254740991*a and 9007199254740991*a]`,
  );
  expect(() => productOf([2 ** 30, 2 ** 30])).toThrow(RlxError);
});

test("shapes compare by value", () => {
  const a = dim("a", bounds.a);
  expect(shapeEquals([a, 2], [dim("a", bounds.a), 2])).toBe(true);
  expect(shapeEquals([a, 2], [a, 2, 1])).toBe(false);
  expect(shapeEquals([a], [3])).toBe(false);
});
