/** A value in a message. Plain objects and long lists are named, not written out: they may be deep, or have a `toString` that is no function. */
export function shown(v: unknown): string {
  if (typeof v === "string") return JSON.stringify(v);
  if (typeof v === "function") return "a function";
  if (typeof v !== "object" || v === null) return String(v);
  if (Array.isArray(v)) return v.length <= 16 && v.every(isShort) ? `[${v.map(shown).join(", ")}]` : "a list";
  const kind = classOf(v);
  if (kind === undefined) return "a record";
  return hasText(v) ? String(v) : `a ${kind}`;
}

/** The class of an instance; undefined for object literals and data that was parsed. */
function classOf(v: object): string | undefined {
  const made = Object.getPrototypeOf(v) as { readonly constructor?: { readonly name?: unknown } } | null;
  const name = made?.constructor?.name;
  return typeof name === "string" && name !== "Object" ? name : undefined;
}
/** Whether its class says how to write it, as extents do. */
const hasText = (v: object): boolean => classOf(v) !== undefined && Object.hasOwn(Object.getPrototypeOf(v) as object, "toString");
const isShort = (v: unknown): boolean => v === null || (typeof v === "object" ? hasText(v) : typeof v !== "function");
