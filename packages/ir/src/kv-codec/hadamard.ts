import { AttrError, ShapeError } from "../errors.ts";

/**
 * The rotation of quantized KV caches: signs, then a Hadamard transform. Every step is one f32 operation in a fixed order, so that any backend
 * gives the same bits: no fused multiply-add, no flushed subnormals.
 */

/** The +-1 diagonal of mlx-native: element j is negated iff bit j is set, least significant bit of byte 0 first. Shorter vectors take its start. */
const signBytes = Uint8Array.from(
  (
    "a73b91f46dc2580eb37f24d68945ea1c63afd852970be13d76c419fe4a852cdb" + "d34ea8179c5be63172b90df5438a6ec7582f94e1b63d0a7cc561d84fa3971e85"
  ).match(/../g) ?? [],
  (byte) => Number.parseInt(byte, 16),
);
const maxSigns = 8 * signBytes.length;

/** The sign diagonal as bits, 8 a byte, least significant first; headDim a multiple of 8 up to 512. */
export function hadamardSigns(headDim: number): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(headDim) || headDim < 0 || headDim % 8 !== 0 || headDim > maxSigns)
    throw new AttrError("hadamard_signs", `headDim: expected a multiple of 8 up to ${maxSigns}, got ${headDim}`);
  return signBytes.slice(0, headDim / 8);
}

/** +1 or -1 for non-zero squares and non-squares of a field, 0 for zero; (a, b) are indices of two elements, their difference is meant. */
type Character = (a: number, b: number) => number;

/** Squares modulo 5 are 1 and 4. */
const character5: Character = (a, b) => [0, 1, -1, -1, 1][(a - b + 5) % 5] ?? 0;

/** The field of 9: x + iy over the integers modulo 3, index 3x + y. Its non-zero squares are 1, 2, i and 2i. */
const character9: Character = (a, b) => {
  const x = (Math.floor(a / 3) - Math.floor(b / 3)) % 3;
  const y = (a - b) % 3;
  if (x === 0 && y === 0) return 0;
  return x === 0 || y === 0 ? 1 : -1;
};

/** Paley's second construction (1933): a symmetric Hadamard matrix of order 2(q + 1), row-major, entries +-1. */
function paley(q: number, character: Character): Int8Array {
  const n = 2 * (q + 1);
  const conference = (i: number, j: number): number => (i === 0 || j === 0 ? Number(i !== j) : character(i - 1, j - 1));
  return Int8Array.from({ length: n * n }, (_, at) => {
    const [row, column] = [Math.floor(at / n), at % n];
    const [i, j, lower] = [row >> 1, column >> 1, row & column & 1];
    if (i === j) return row === column && row % 2 === 0 ? 1 : -1;
    return conference(i, j) * (lower === 1 ? -1 : 1);
  });
}

/** Orders that are no power of two and are used as a last stage; each is symmetric, so the transform stays its own inverse. */
const matrices: ReadonlyMap<number, Int8Array> = new Map([
  [12, paley(5, character5)],
  [20, paley(9, character9)],
]);

const isPowerOfTwo = (n: number): boolean => Number.isInteger(n) && n >= 1 && Number.isInteger(Math.log2(n));

/** n = order * run with run a power of two and order 1, 12 or 20; `undefined` when there are none. */
const factors = (n: number): { order: number; run: number } | undefined =>
  [1, 12, 20].map((order) => ({ order, run: n / order })).find(({ run }) => isPowerOfTwo(run));

/** Whether `fwht` takes rows of n values; with signs on one side of it, only up to 512. */
export const isHadamardOrder = (n: number, signs: boolean): boolean => factors(n) !== undefined && (!signs || n <= maxSigns);

function factor(op: string, n: number): { order: number; run: number } {
  const found = factors(n);
  if (found) return found;
  throw new AttrError(op, `headDim: expected a power of two, or 12 or 20 times one, got ${n}`);
}

/** The rows of x, checked before any is changed. */
function rowsOf(op: string, x: Float32Array, headDim: number): Float32Array[] {
  factor(op, headDim);
  if (x.length % headDim !== 0) throw new ShapeError(op, `x: expected a multiple of headDim ${headDim} values, got ${x.length}`);
  return Array.from({ length: x.length / headDim }, (_, r) => x.subarray(r * headDim, (r + 1) * headDim));
}

/** Butterflies (a, b) -> (a + b, a - b) at distances 1, 2, 4, ... run / 2, inside each run. */
function butterflies(x: Float32Array, run: number): void {
  for (let h = 1; h < run; h *= 2)
    for (let j = 0; j < x.length; j++)
      if ((j & h) === 0) {
        const a = x[j] ?? 0;
        const b = x[j + h] ?? 0;
        x[j] = a + b; // f64 sums of f32 values, rounded by the store, are f32 sums
        x[j + h] = a - b;
      }
}

/** Across runs: element i of run r becomes the sum over c of matrix[r, c] * element i of run c, added in f32 in the order of c. */
function mixRuns(x: Float32Array, run: number, order: number, matrix: Int8Array): void {
  const old = x.slice();
  for (let r = 0; r < order; r++)
    for (let i = 0; i < run; i++) {
      let sum = (matrix[r * order] ?? 0) * (old[i] ?? 0);
      for (let c = 1; c < order; c++) sum = Math.fround(sum + (matrix[r * order + c] ?? 0) * (old[c * run + i] ?? 0));
      x[r * run + i] = sum;
    }
}

function transformRow(x: Float32Array): void {
  const { order, run } = factor("fwht", x.length);
  butterflies(x, run);
  const matrix = matrices.get(order);
  if (matrix) mixRuns(x, run, order, matrix);
  const scale = Math.fround(1 / Math.sqrt(x.length));
  for (let j = 0; j < x.length; j++) x[j] = (x[j] ?? 0) * scale;
}

function flipRow(x: Float32Array): void {
  for (let j = 0; j < x.length; j++) if (((signBytes[j >> 3] ?? 0) >> (j & 7)) & 1) x[j] = -(x[j] ?? 0);
}

function checkSigns(op: string, headDim: number): void {
  factor(op, headDim);
  if (headDim > maxSigns) throw new AttrError(op, `headDim: expected at most ${maxSigns}, the length of the sign diagonal, got ${headDim}`);
}

/**
 * Orthonormal Hadamard transform in place, in natural order, of each row of x [..., headDim]: its own inverse. Stages at distance 1, 2, 4, ...
 * and then one multiplication by f32(1 / sqrt(headDim)).
 *
 * A headDim that is 12 or 20 times a power of two (96 = 12 * 8, 80 = 20 * 4) has the butterflies inside runs of that power of two, then a
 * symmetric Hadamard matrix of order 12 or 20 across the runs: every output still depends on every input with equal weight.
 * @throws AttrError for any other headDim, ShapeError when x is no whole number of rows.
 */
export function fwht(x: Float32Array, headDim: number = x.length): void {
  for (const row of rowsOf("fwht", x, headDim)) transformRow(row);
}

/** Into the rotated domain, in place, for each row of x [..., headDim] (headDim up to 512): the sign diagonal, then `fwht`. */
export function signThenFwht(x: Float32Array, headDim: number = x.length): void {
  checkSigns("sign_then_fwht", headDim);
  for (const row of rowsOf("sign_then_fwht", x, headDim)) {
    flipRow(row);
    transformRow(row);
  }
}

/** Out of the rotated domain, in place: `fwht`, then the sign diagonal; the inverse of `signThenFwht`. */
export function fwhtThenSign(x: Float32Array, headDim: number = x.length): void {
  checkSigns("fwht_then_sign", headDim);
  for (const row of rowsOf("fwht_then_sign", x, headDim)) {
    transformRow(row);
    flipRow(row);
  }
}

/** The Hadamard matrix across runs for a headDim that is no power of two, row-major [order, order]; `undefined` for powers of two. */
export function hadamardMatrix(headDim: number): { readonly order: number; readonly entries: Int8Array } | undefined {
  const { order } = factor("hadamard_matrix", headDim);
  const entries = matrices.get(order);
  return entries && { order, entries };
}
