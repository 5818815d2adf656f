import { AttrError, RunError } from "../errors.ts";
import { linearizeRing } from "../ops/kv-linearize-ring.ts";
import { expectElements } from "../ops/kv-plan.ts";
import { inferKvWrite, runKvWrites } from "../ops/kv-write-rules.ts";
import { type Args, checkNames, flag, natural, naturals, tensor } from "../named-args.ts";
import { type KvCopySpec, type KvForm, kvForms } from "./table.ts";
import { expectDType, int, ints, part } from "./tensors.ts";

// Named copies on tensors, in place: arguments are checked, tensors are seen in the shapes that the op has, and its reference does the rest.

/** Names of cache and source, for K and V or for the only one. */
export const operandsOf = ({ dual }: Pick<KvCopySpec, "dual">): readonly { readonly cache: string; readonly x: string }[] =>
  dual
    ? [
        { cache: "cacheK", x: "srcK" },
        { cache: "cacheV", x: "srcV" },
      ]
    : [{ cache: "cache", x: "src" }];

/** Whether positions wrap, and whether the oldest tokens of too many are left out. */
export function ringOf(op: string, { ring, tokens }: KvForm, args: Args): { ring: boolean; trim: boolean } {
  return {
    ring: typeof ring === "string" ? flag(op, args, ring) : ring,
    trim: tokens !== undefined && flag(op, args, "trim"),
  };
}

const known = (...names: readonly (string | boolean | undefined)[]): string[] => names.filter((n) => typeof n === "string");

/** Run a named copy. */
export function copyTensors(op: string, spec: KvCopySpec, given: unknown): void {
  const form: KvForm = kvForms[spec.form];
  const operands = operandsOf(spec);
  const names = known(...operands.flatMap(({ x }) => x), ...operands.map(({ cache }) => cache), form.heads, form.dim, form.capacity);
  names.push(...known(form.pos, form.slots, form.tokens, form.offset, form.srcTokens, form.ring, form.tokens && "trim"));
  const args = checkNames(op, names, given);
  const optional = (name: string | undefined, otherwise: number): number => (name === undefined ? otherwise : natural(op, args, name));
  const heads = optional(form.heads, 1);
  const dim = natural(op, args, form.dim);
  const capacity = natural(op, args, form.capacity);
  const tokens = optional(form.tokens, 1);
  const offset = form.offset === undefined ? 0 : natural(op, args, form.offset, 0);
  const slots = form.slots === undefined ? undefined : naturals(op, args, form.slots);
  const pos = slots ? naturals(op, args, form.pos) : [natural(op, args, form.pos)];
  if (slots && pos.length !== slots.length)
    throw new AttrError(op, `${form.pos}: expected ${slots.length} positions, as many as ${form.slots} has, got ${pos.length}`);
  const rows = pos.length;
  const srcTokens = optional(form.srcTokens, offset + tokens);
  const { ring, trim } = ringOf(op, form, args);
  const attrs = { layout: form.layout, xLayout: form.xLayout, ring, trim };
  const called = { pos: form.pos, slots: form.slots, tokens: form.tokens, srcTokOffset: form.offset };
  const places = { pos: ints(pos), slots: slots && ints(slots), tokens: int(tokens), srcTokOffset: int(offset), names: called };

  const pairs = operands.map(({ cache, x }) => {
    const [target, source] = [tensor(op, args, cache), tensor(op, args, x)];
    expectDType(op, x, source, spec.source);
    expectDType(op, cache, target, spec.cache === "same" ? [source.dtype] : [spec.cache]);
    return { names: { cache, x, headDim: form.dim }, target, source };
  });
  if (heads * dim * tokens * rows === 0) return;
  const shapes = {
    x: form.xLayout === "head" ? [rows, heads, srcTokens, dim] : [rows, srcTokens, heads * dim],
    cache: (sequences: number) => (form.layout === "head" ? [sequences, heads, capacity, dim] : [sequences, capacity, heads * dim]),
  };
  const targets = pairs.map(({ names, target, source }) => {
    const each = heads * capacity * dim;
    const shape = shapes.cache(slots && each > 0 ? Math.max(1, Math.floor(target.size / each)) : 1);
    expectElements(op, names.cache, { dtype: target.dtype, shape });
    const x = part(op, names.x, source, source.dtype, shapes.x);
    const cache = part(op, names.cache, target, target.dtype, shape);
    const pair = { names, cache, x, headDim: form.layout === "head" ? dim : undefined };
    inferKvWrite(op, pair, places, attrs);
    return { ...pair, out: cache };
  });
  runKvWrites(op, targets, places, attrs);
}

/** kvCacheLinearizeRing on tensors of any dtype, which are seen as bytes. */
export function linearizeTensors(op: string, given: unknown): void {
  const args = checkNames(op, ["src", "dst", "nHeads", "srcCap", "dstCap", "rowBytes", "historyLen", "logicalEnd"], given);
  const [src, dst] = [tensor(op, args, "src"), tensor(op, args, "dst")];
  const n = (name: string): number => natural(op, args, name);
  const [nHeads, srcCap, dstCap, rowBytes] = [n("nHeads"), n("srcCap"), n("dstCap"), n("rowBytes")];
  const [historyLen, logicalEnd] = [n("historyLen"), n("logicalEnd")];
  if (nHeads * rowBytes * historyLen === 0) return;
  for (const [name, capacity] of Object.entries({ srcCap, dstCap }))
    if (historyLen > capacity) throw new RunError(op, `historyLen: expected at most ${name} ${capacity}, got ${historyLen}`);
  if (logicalEnd < historyLen) throw new RunError(op, `logicalEnd: expected at least historyLen ${historyLen}, got ${logicalEnd}`);
  const rows = { src: [nHeads, srcCap, rowBytes], dst: [nHeads, dstCap, rowBytes] };
  for (const [name, shape] of Object.entries(rows)) expectElements(op, name, { dtype: "u8", shape });
  const target = part(op, "dst", dst, "u8", rows.dst);
  const source = part(op, "src", src, "u8", rows.src);
  linearizeRing(op, { dst: target, src: source, end: int(logicalEnd), length: int(historyLen) }, target);
}
