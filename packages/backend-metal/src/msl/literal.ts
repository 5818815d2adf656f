/** A float literal of exactly the float nearest to `value`: the shortest text of that double lies within half a unit of it. */
export function floatLiteral(value: number): string {
  const x = Math.fround(value);
  if (Number.isNaN(x)) return "NAN";
  if (!Number.isFinite(x)) return x > 0 ? "INFINITY" : "-INFINITY";
  const text = Object.is(x, -0) ? "-0" : String(x);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

/** A literal of type long; `value` is a safe integer. */
export const longLiteral = (value: number): string => `${value}l`;
