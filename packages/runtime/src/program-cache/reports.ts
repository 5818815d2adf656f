import type { Decomposition } from "../passes/decompose.ts";
import type { Miss, MissReason, PassStats } from "../passes/pass.ts";

/** What passes report; how nodes are dispatched is decided anew. */
export interface StoredReports {
  readonly decomposed: readonly Decomposition[];
  readonly stats: readonly PassStats[];
  readonly misses: readonly Miss[];
}

type Check<T> = (value: unknown) => value is T;
type Fields<T> = { readonly [K in keyof T]-?: Check<T[K]> };

const isText: Check<string> = (v): v is string => typeof v === "string";
const isCount: Check<number> = (v): v is number => typeof v === "number" && Number.isSafeInteger(v) && v >= 0;
const orAbsent =
  <T>(check: Check<T>): Check<T | undefined> =>
  (v): v is T | undefined =>
    v === undefined || check(v);
const listOf =
  <T>(check: Check<T>): Check<readonly T[]> =>
  (v): v is readonly T[] =>
    Array.isArray(v) && v.every(check);
const recordOf =
  <T>(check: Check<T>): Check<Readonly<Record<string, T>>> =>
  (v): v is Readonly<Record<string, T>> =>
    typeof v === "object" && v !== null && !Array.isArray(v) && Object.values(v).every(check);
/** An object with these fields and no others. */
const objectOf =
  <T>(fields: Fields<T>): Check<T> =>
  (v): v is T => {
    if (typeof v !== "object" || v === null) return false;
    const given: Readonly<Record<string, unknown>> = { ...v };
    return (
      Object.keys(given).every((k) => Object.hasOwn(fields, k)) &&
      Object.entries<Check<unknown>>(fields).every(([k, check]) => check(given[k]))
    );
  };

const reasons: Readonly<Record<MissReason, true>> = {
  "multi-consumer": true,
  dtype: true,
  shape: true,
  order: true,
  limit: true,
  backend: true,
};
const isReason: Check<MissReason> = (v): v is MissReason => isText(v) && Object.hasOwn(reasons, v);

const where = { label: orAbsent(isText), origin: orAbsent(isText) };
const isReports = objectOf<StoredReports>({
  decomposed: listOf(objectOf<Decomposition>({ op: isText, into: listOf(isText), reason: isText, ...where })),
  stats: listOf(
    objectOf<PassStats>({ name: isText, nodesBefore: isCount, nodesAfter: isCount, applied: recordOf(isCount), micros: isCount }),
  ),
  misses: listOf(objectOf<Miss>({ pass: isText, pattern: isText, op: isText, reason: isReason, detail: isText, ...where })),
});

/** The reports in a header; undefined: they are not there, or not in full. */
export function readReports({ decomposed, stats, misses }: Readonly<Record<string, unknown>>): StoredReports | undefined {
  const reports: unknown = { decomposed, stats, misses };
  return isReports(reports) ? reports : undefined;
}
