import { z } from "zod";
import { ModelConfigError, show } from "../errors.ts";

/** The largest sizes that are believed, so that a hostile file cannot make anything large before its tensors are looked at. */
export const maxHeadDim = 2 ** 14;
export const maxVocab = 2 ** 24;
export const maxExperts = 2 ** 14;
export const maxLayers = 4096;

/** Counts that sizes are computed from: bounded so that products stay exact. */
export const count = z
  .int()
  .min(1)
  .max(2 ** 31);
export const index = z
  .int()
  .min(0)
  .max(2 ** 31);
export const positive = z.number().positive().finite();

/** Parse with a schema; the first problem becomes a ModelConfigError that names the field. */
export function parseFields<T extends z.ZodType>(file: string, schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  throw new ModelConfigError(file, path.map(String).join(".") || "config", explain(issue), show(at(value, path)));
}

function explain(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code === "invalid_type") return issue.expected === "int" ? "an integer" : `a value of type ${issue.expected}`;
  if (issue?.code === "too_small") return `a number ${issue.inclusive === false ? ">" : ">="} ${issue.minimum}`;
  if (issue?.code === "too_big") return `a number <= ${issue.maximum}`;
  if (issue?.code === "invalid_value") return `one of ${issue.values.map(String).join(", ")}`;
  return issue?.message ?? "another value";
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let v = value;
  for (const key of path) v = typeof v === "object" && v !== null && Object.hasOwn(v, key) ? Reflect.get(v, key) : undefined;
  return v;
}
