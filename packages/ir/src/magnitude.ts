import type { Tensor } from "./tensor.ts";

/** Largest absolute value; infinities and NaN do not count (they compare exactly). */
export function maxAbs(t: Tensor | undefined): number {
  let m = 0;
  if (t) for (const v of t.values()) if (Number.isFinite(v)) m = Math.max(m, Math.abs(v));
  return m;
}
